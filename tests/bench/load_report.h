/* A report in words, or as one JSON object. */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "load_options.h"
#include "load_run.h"

void load_report_print(const struct load_options *o, const struct load_report *report);
void load_report_print_json(const struct load_options *o, const struct load_report *report);

#endif
