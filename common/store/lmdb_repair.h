/* A store that cannot be trusted any more: everything readable goes into a new file, the old one stays beside it. */
#ifndef LMDB_REPAIR_H
#define LMDB_REPAIR_H

#include "lmdb_dir.h"
#include "lmdb_image.h"

/* Is the file damaged? 0 = no, 1 = yes, with err_text(); negative errno with err_text(). WITH_VALUES: every byte of it
 * is read. */
int lmdb_repair_check(int data_fd, bool with_values);
/* Replace data.mdb (open as DATA_FD; close it afterwards). LMDB must not have it open. 0 or negative errno with
 * err_text(): then it is as it was. */
int lmdb_repair_run(const struct lmdb_dir *d, int data_fd, struct store_report *ret_report);

#endif
