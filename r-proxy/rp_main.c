/* r-proxy: the edge side of the tunnel. Arguments, wiring, run, exit code; nothing else. */
#include "program.h"
#include "rp_options.h"
#include "rproxy.h"

int main(int argc, char **argv)
{
    const struct program_params params = {
        .config = &rp_config,
        .options_bytes = sizeof(struct rp_options),
        .calls = &rproxy_calls,
    };
    return program_main(&params, argc, argv);
}
