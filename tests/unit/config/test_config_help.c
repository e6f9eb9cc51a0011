/* --help, --version and --check-config: what is printed on stdout. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
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

static Suite *config_help_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("config_help", &tc);
    tcase_add_checked_fixture(tc, sample_setup, sample_teardown);
    tcase_add_test(tc, help_shows_each_option_with_its_default);
    tcase_add_test(tc, version_is_one_line);
    tcase_add_test(tc, a_good_configuration_is_called_valid);
    tcase_add_test(tc, a_bad_configuration_is_not);
    return suite;
}

TEST_MAIN(config_help_suite)
