/* mqtt-load: arguments, one run, report, exit code. */
#include <stdio.h>
#include <stdlib.h>

#include "load_mem.h"
#include "load_options.h"
#include "load_report.h"
#include "load_run.h"

enum {
    EXIT_CLEAN = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_FAULTS = 3,
};

static int exit_code(const struct load_report *report)
{
    if (report->end == LOAD_END_TIMEOUT || report->end == LOAD_END_NOT_CONNECTED)
        return EXIT_FAILED;
    return load_run_is_clean(report) ? EXIT_CLEAN : EXIT_FAULTS;
}

int main(int argc, char **argv)
{
    struct load_options options;

    int r = load_options_parse(argc, argv, &options);
    if (r != LOAD_OPTIONS_OK)
        return r == LOAD_OPTIONS_HELP ? EXIT_CLEAN : EXIT_USAGE;
    struct load_report *report = load_mem_zeroed(1, sizeof(*report));
    int code = EXIT_FAILED;
    if (load_run(&options, report) == 0) {
        if (options.json)
            load_report_print_json(&options, report);
        else
            load_report_print(&options, report);
        code = exit_code(report);
    }
    free(report);
    return code;
}
