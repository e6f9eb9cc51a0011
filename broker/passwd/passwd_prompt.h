/* A password from whoever runs the program. */
#ifndef PASSWD_PROMPT_H
#define PASSWD_PROMPT_H

enum { PASSWORD_MAX_BYTES = 1024 };

/* From a terminal: asked for twice, not shown. From anything else: the first line of standard input. PASSWORD takes
 * PASSWORD_MAX_BYTES + 1 bytes; the caller wipes it. 0 or negative errno with err_text(). */
int passwd_prompt(char *password);

#endif
