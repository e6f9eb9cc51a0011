/* A file of lines that grows at its end, written by a thread of its own: who adds a line never waits for the disk.
 *
 *   any thread: bk_audit_file_add() --> [ lines, bounded ] --> thread --> FILE, when it is full: FILE.1, FILE.2, ...
 *
 * A line that finds no room (the disk is slow) or cannot be written (it is full) is lost and counted, and the log says
 * so; the file goes on with the next one that can be written, and never has half a line. Any thread, but for opening
 * and closing. */
#ifndef BK_AUDIT_FILE_H
#define BK_AUDIT_FILE_H

#include <stddef.h>
#include <stdint.h>

struct bk_audit_file;
struct metrics_registry;

enum { BK_AUDIT_WAITING_MAX = 1024 * 1024 }; /* bytes of lines that the disk has not taken yet */

#define BK_AUDIT_METRICS(X)                                                    \
    X(lines_written, COUNTER, "lines of the audit log that were written")      \
    X(lines_lost, COUNTER, "lines of the audit log that could not be written") \
    X(rotations, COUNTER, "times that the audit log was begun anew for its size")

struct bk_audit_file_params {
    const char *path;
    uint64_t max_bytes; /* then it becomes PATH.1; 0: it grows. Only where it is a regular file */
    unsigned keep;      /* how many such files stay; 0: what was written is thrown away */
};

/* Opens the file, made with mode 0640 if it is not there. REGISTRY shows the numbers as broker_audit_... 0 or negative
 * errno with err_text(). */
int bk_audit_file_open(const struct bk_audit_file_params *params, struct metrics_registry *registry,
                       struct bk_audit_file **ret_file);
/* What is there is written before. NULL is fine. Returns NULL. */
struct bk_audit_file *bk_audit_file_close(struct bk_audit_file *f);
/* One line, with its newline. Copied. */
void bk_audit_file_add(struct bk_audit_file *f, const char *line, size_t len);
/* What is added from now on goes to the file that PARAMS names, opened anew: somebody may have moved the old one away.
 * If it cannot be opened, the log says so and the old one goes on. */
void bk_audit_file_reopen(struct bk_audit_file *f, const struct bk_audit_file_params *params);

#endif
