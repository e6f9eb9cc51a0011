/* --help, --version and --check-config: what is printed on stdout. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "err.h"
#include "sample_program.h"
#include "test_main.h"

static struct sample_options o;
static char printed[8192];

/* What a load with WORDS prints; it has to end with CONFIG_DONE. */
static void print_with(const char *const *words)
{
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(freopen("out", "w", stdout));
    int r = sample_load(&o, words);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    FILE *file = fopen("out", "r");
    ck_assert_ptr_nonnull(file);
    printed[fread(printed, 1, sizeof(printed) - 1, file)] = '\0';
    fclose(file);
    ck_assert_int_eq(r, CONFIG_DONE);
    ck_assert_ptr_null(o.upstream.items);
}

START_TEST(help_shows_each_option_with_its_default)
{
    static const char *const wanted[] = {
        "Usage: sample [OPTION...] [PORT HOST:PORT]\n",
        "\nLimits\n",
        "  --connect-timeout D             time for CONNECT to arrive after a client has connected; a client\n",
        "\n                                  that is slower is closed without an answer (default 10s)\n",
        "  --max-packet-size S ",
        "  --receive-maximum N ",
        "  --upstream URL                  broker (repeat) (default mqtt://127.0.0.1:1884)\n",
        "  --allow-anonymous  ",
        "  --no-keep                       turn off: keep things\n",
        "  --tls-ocsp off|soft|hard        stapling (default soft)\n",
        "  --listen URL ",
        "(default mqtt://0.0.0.0:1883)",
        "SAMPLE_SOME_OPTION",
        "\nrooms: a list in the file\n  Rooms of the house.\n  name: TEXT ",
        "  beds: N                         how many beds (default 2)\n",
        "\nshelves: a list in each entry of rooms\n  What is on the wall.\n  books: N ",
    };
    print_with((const char *const[]){"--help", "--nonsense", NULL});
    for (size_t i = 0; i < TEST_COUNT(wanted); i++) {
        if (!strstr(printed, wanted[i]))
            ck_abort_msg("not in the help: %s\n%s", wanted[i], printed);
    }
    for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_uint_le(strlen(line), 110);
}
END_TEST

START_TEST(version_is_one_line)
{
    print_with((const char *const[]){"--version", NULL});
    ck_assert_str_eq(printed, "sample 1.2.3\n");
}
END_TEST

START_TEST(a_good_configuration_is_called_valid)
{
    sample_write_file("r-proxy.yaml", "connect-timeout: 5s\n");
    print_with((const char *const[]){"-c", "r-proxy.yaml", "--check-config", NULL});
    ck_assert_str_eq(printed, "sample: the configuration is valid\n");
}
END_TEST

START_TEST(a_bad_configuration_is_not)
{
    sample_write_file("r-proxy.yaml", "connect-timeout: 5\n");
    ck_assert_int_lt(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml", "--check-config"), 0);
}
END_TEST

struct missing_file {
    const char *file, *word, *says;
};

static const struct missing_file missing_files[] = {
    {"tls-cert: missing.pem\n", NULL, "r-proxy.yaml:1: tls-cert: missing.pem: No such file"},
    {"connect-timeout: 5s\ntls-cert: good.pem\nlisteners:\n  - url: mqtt://:1\n  - url: mqtt://:2\n    tls-cert: "
     "missing.pem\n",
     NULL, "r-proxy.yaml:6: tls-cert: missing.pem: No such file"},
    {"listen: mqtt://:3\nlisteners:\n  - {url: mqtt://:1, tls-cert: missing.pem}\n", NULL,
     "r-proxy.yaml:3: tls-cert: missing.pem: No such file"},
    {"listeners:\n  - {url: mqtt://:1, tls-cert: good.pem}\n", "--tls-cert=missing.pem",
     "--tls-cert: missing.pem: No such file"},
    {"tls-cert: /etc/missing.pem\nmqtt-url: /etc/missing\n", NULL,
     "r-proxy.yaml:1: tls-cert: /etc/missing.pem: No such file"},
};

START_TEST(a_file_that_cannot_be_used_is_named_with_its_option)
{
    const struct missing_file *m = &missing_files[_i];
    sample_write_file("r-proxy.yaml", m->file);
    const char *words[] = {"-c", "r-proxy.yaml", "--check-config", m->word, NULL};
    ck_assert_int_lt(sample_load(&o, words), 0);
    ck_assert_msg(strncmp(err_text(), m->says, strlen(m->says)) == 0, "%s", err_text());
}
END_TEST

START_TEST(files_are_only_looked_at_when_that_was_asked_for)
{
    ck_assert_int_eq(SAMPLE_LOAD(&o, "--tls-cert", "missing.pem"), 0);
    config_free(&sample_program, &o);
}
END_TEST

static Suite *config_help_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("config_help", &tc);
    tcase_add_checked_fixture(tc, sample_setup, sample_teardown);
    tcase_add_test(tc, help_shows_each_option_with_its_default);
    tcase_add_test(tc, version_is_one_line);
    tcase_add_test(tc, a_good_configuration_is_called_valid);
    tcase_add_test(tc, a_bad_configuration_is_not);
    tcase_add_loop_test(tc, a_file_that_cannot_be_used_is_named_with_its_option, 0, TEST_COUNT(missing_files));
    tcase_add_test(tc, files_are_only_looked_at_when_that_was_asked_for);
    return suite;
}

TEST_MAIN(config_help_suite)
