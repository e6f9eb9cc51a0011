/* mqtt-passwd: adds, changes and takes out the users of a password file or of a file for SCRAM. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mqtt_packet.h"
#include "mqtt_utf8.h"
#include "passwd_edit.h"
#include "passwd_prompt.h"
#include "password_hash.h"
#include "scram_file.h"
#include "str.h"

enum {
    SCRAM_ITERATIONS = 15000, /* what a small device computes in a second or two, at each connection */
};

static const char HELP[] =
    "mqtt-passwd: users and passwords for mqtt-broker\n"
    "\n"
    "  mqtt-passwd [OPTION...] FILE USER             add USER, or give a new password\n"
    "  mqtt-passwd -b [OPTION...] FILE USER PASSWORD the same with the password on the command line\n"
    "  mqtt-passwd -D FILE USER                      take USER out\n"
    "\n"
    "The password is asked for at the terminal, twice, or read from the first line of standard input. FILE is made "
    "with\n"
    "mode 0600 if it is not there. The broker reads it again on SIGHUP.\n"
    "\n"
    "  -b, --batch          the password is the last argument, where others can see it in the list of processes\n"
    "  -c, --create         forget whoever is in FILE\n"
    "  -D, --delete         take USER out\n"
    "      --hash KIND      argon2id (default) or scrypt for --password-file, scram for --scram-file\n"
    "      --iterations N   of scram, 4096 to 10000000 (default 15000)\n"
    "  -h, --help           this text\n"
    "      --version        name and version\n"
    "\n"
    "Exit status: 0, or 1 when FILE is as it was; standard error says why.\n";

enum { OPTION_HASH = 256, OPTION_ITERATIONS, OPTION_VERSION };

static const struct option long_options[] = {
    {"batch", no_argument, NULL, 'b'},
    {"create", no_argument, NULL, 'c'},
    {"delete", no_argument, NULL, 'D'},
    {"hash", required_argument, NULL, OPTION_HASH},
    {"iterations", required_argument, NULL, OPTION_ITERATIONS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

enum passwd_kind {
    PASSWD_ARGON2ID,
    PASSWD_SCRYPT,
    PASSWD_SCRAM,
};

struct passwd_options {
    bool is_batch, is_fresh, is_delete;
    enum passwd_kind kind;
    int64_t iterations;
    const char *file, *user;
    char *password; /* NULL: to be asked for */
};

enum { PASSWD_DONE = 1 }; /* --help or --version: printed */

/* --- Arguments */

static int parse_kind(const char *text, enum passwd_kind *ret_kind)
{
    static const char *const names[] = {"argon2id", "scrypt", "scram"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_kind = (enum passwd_kind)i;
            return 0;
        }
    }
    return err_set(-EINVAL, "--hash: expected argon2id, scrypt or scram");
}

static int take_option(struct passwd_options *o, int option)
{
    switch (option) {
    case 'b':
        o->is_batch = true;
        return 0;
    case 'c':
        o->is_fresh = true;
        return 0;
    case 'D':
        o->is_delete = true;
        return 0;
    case 'h':
        fputs(HELP, stdout);
        return PASSWD_DONE;
    case OPTION_VERSION:
        puts("mqtt-passwd " PROJECT_VERSION);
        return PASSWD_DONE;
    case OPTION_HASH:
        return parse_kind(optarg, &o->kind);
    case OPTION_ITERATIONS:
        return err_context(str_parse_int(optarg, SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, &o->iterations),
                           "--iterations");
    default:
        return err_set(-EINVAL, "unknown option, or one without its value: try --help");
    }
}

static int check_user(const char *user)
{
    const size_t len = strlen(user);
    for (size_t i = 0; i < len; i++) {
        if (user[i] == ':' || (unsigned char)user[i] < ' ' || user[i] == '\x7f')
            return err_set(-EINVAL, "a user name has no colon and no control character in it");
    }
    if (len == 0 || len > MQTT_STRING_MAX || user[0] == '#')
        return err_set(-EINVAL, "a user name is not empty, has at most %d bytes and does not begin with #",
                       MQTT_STRING_MAX);
    if (mqtt_utf8_check((const uint8_t *)user, len) != MQTT_UTF8_OK)
        return err_set(-EINVAL, "a user name is UTF-8");
    return 0;
}

static int take_words(struct passwd_options *o, int n, char **words)
{
    const int n_wanted = o->is_batch && !o->is_delete ? 3 : 2;
    if (o->is_delete && o->is_fresh)
        return err_set(-EINVAL, "-D and -c do not go together");
    if (n != n_wanted)
        return err_set(-EINVAL, "expected FILE and USER%s: try --help", n_wanted == 3 ? " and PASSWORD" : "");
    o->file = words[0];
    o->user = words[1];
    o->password = n == 3 ? words[2] : NULL;
    return check_user(o->user);
}

static int parse(struct passwd_options *o, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "bcDh", long_options, NULL)) >= 0) {
        int r = take_option(o, option);
        if (r != 0)
            return r;
    }
    return take_words(o, argc - optind, argv + optind);
}

/* --- Work */

static int make_secret(const struct passwd_options *o, const char *password, char *secret)
{
    const size_t len = strlen(password);
    if (len == 0)
        return err_set(-EINVAL, "the password is empty");
    if (o->kind == PASSWD_SCRAM)
        return scram_secret_make(password, len, (uint32_t)o->iterations, secret);
    return password_hash_make(o->kind == PASSWD_SCRYPT ? PASSWORD_HASH_SCRYPT : PASSWORD_HASH_ARGON2ID, password, len,
                              secret);
}

/* The hash is computed before the file is locked. */
static int set_password(const struct passwd_options *o)
{
    char password[PASSWORD_MAX_BYTES + 1] = "", secret[PASSWORD_HASH_TEXT_MAX + SCRAM_LINE_MAX];
    int r = 0;
    if (!o->password)
        r = passwd_prompt(password);
    if (r == 0)
        r = make_secret(o, o->password ? o->password : password, secret);
    if (o->password)
        explicit_bzero(o->password, strlen(o->password)); /* out of the list of processes */
    explicit_bzero(password, sizeof(password));
    if (r < 0)
        return r;
    return passwd_edit(
        &(struct passwd_change){.file = o->file, .user = o->user, .secret = secret, .forgets_others = o->is_fresh});
}

static int delete_user(const struct passwd_options *o)
{
    int r = passwd_edit(&(struct passwd_change){.file = o->file, .user = o->user});
    return r == PASSWD_EDIT_MISSING ? err_set(-ENOENT, "%s: there is no user %s", o->file, o->user) : r;
}

int main(int argc, char **argv)
{
    struct passwd_options o = {.iterations = SCRAM_ITERATIONS};
    int r = parse(&o, argc, argv);
    if (r == 0)
        r = o.is_delete ? delete_user(&o) : set_password(&o);
    if (r < 0)
        fprintf(stderr, "mqtt-passwd: %s\n", err_text());
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
