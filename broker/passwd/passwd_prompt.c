/* See passwd_prompt.h. */
#include "passwd_prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "err.h"

/* The terminal shows what is typed again, however this ends. */
static struct termios before;
static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static void on_ending(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    signal(number, SIG_DFL);
    raise(number);
}

/* Bytes one by one, so that none stays in a buffer of stdio. */
static int read_line(char *line)
{
    size_t len = 0;
    for (;;) {
        char c;
        const ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(-errno, "standard input");
        if (n == 0 || c == '\n')
            break;
        if (c == '\0' || len == PASSWORD_MAX_BYTES)
            return err_set(-EINVAL, "the password has a NUL in it, or more than %d bytes", PASSWORD_MAX_BYTES);
        line[len++] = c;
    }
    line[len] = '\0';
    return 0;
}

static int ask(const char *question, char *line)
{
    fprintf(stderr, "%s", question);
    int r = read_line(line);
    fprintf(stderr, "\n");
    return r;
}

static int ask_twice(char *password)
{
    char again[PASSWORD_MAX_BYTES + 1] = "";
    int r = ask("Password: ", password);
    if (r == 0)
        r = ask("The same again: ", again);
    if (r == 0 && strcmp(password, again) != 0)
        r = err_set(-EINVAL, "these are two different passwords");
    explicit_bzero(again, sizeof(again));
    return r;
}

int passwd_prompt(char *password)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
        return read_line(password);
    struct termios silent = before;
    silent.c_lflag &= (tcflag_t)~ECHO;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        signal(endings[i], on_ending);
    signal(SIGTSTP, SIG_IGN);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    int r = ask_twice(password);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    return r;
}
