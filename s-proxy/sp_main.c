/* s-proxy: the cloud side of the tunnel. Arguments, wiring, run, exit code; nothing else. */
#include "program.h"
#include "sp_options.h"
#include "sproxy.h"

int main(int argc, char **argv)
{
    const struct program_params params = {
        .config = &sp_config,
        .options_bytes = sizeof(struct sp_options),
        .calls = &sproxy_calls,
    };
    return program_main(&params, argc, argv);
}
