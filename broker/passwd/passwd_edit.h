/* Changing one line of a file of users and their secrets: a password file, or one for SCRAM. */
#ifndef PASSWD_EDIT_H
#define PASSWD_EDIT_H

#include <stdbool.h>

enum { PASSWD_EDIT_MISSING = 1 }; /* USER had no line to be taken out; the file is as it was */

struct passwd_change {
    const char *file;
    const char *user;
    const char *secret;  /* what follows the colon; NULL: the line is taken out */
    bool forgets_others; /* begin with an empty file */
};

/* All other lines stay as they are, comments too. The file changes as a whole or not at all, whatever happens, and two
 * who do it at once wait for each other. A new file has mode 0600; one that is there keeps its owner and group, and of
 * its mode what does not let everybody read it. A symbolic link is followed, and stays. 0, PASSWD_EDIT_MISSING, or
 * negative errno with err_text(). */
int passwd_edit(const struct passwd_change *change);

#endif
