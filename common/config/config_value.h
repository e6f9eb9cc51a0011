/* One row and the field it is about: text into the field, and freeing it. Used only inside config. */
#ifndef CONFIG_CONFIG_VALUE_H
#define CONFIG_CONFIG_VALUE_H

#include "config.h"

/* Parse TEXT into FIELD (zeroed, or a list to append to). 0 or negative with err_text(), without the name of the row.
 */
int config_value_parse(const struct config_row *row, const char *text, const char *variable, void *field);
/* The same check, without a field. */
int config_value_check(const struct config_row *row, const char *text, const char *variable);
/* Frees what FIELD owns and zeroes it. */
void config_value_free(const struct config_row *row, void *field);
/* What --help calls the value: "D", "off|on". Into BUF. */
const char *config_value_argument(const struct config_row *row, char *buf, size_t size);

int config_list_add(struct config_list *list, const char *text, size_t len);
void config_list_free(struct config_list *list);

#endif
