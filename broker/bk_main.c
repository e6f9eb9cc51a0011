/* mqtt-broker: MQTT 3.1, 3.1.1 and 5.0. Arguments, wiring, run, exit code; nothing else. */
#include "bk_broker.h"
#include "bk_options.h"
#include "program.h"

int main(int argc, char **argv)
{
    const struct program_params params = {
        .config = &bk_config,
        .options_bytes = sizeof(struct bk_options),
        .calls = &broker_calls,
    };
    return program_main(&params, argc, argv);
}
