/* Files of secrets: read whole and by lines, and who may read them. */
#include "secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "file_support.h"
#include "test_main.h"

/* Lines as they come, with a "|" behind each; "bad" is refused. */
static int join(char *line, void *arg)
{
    if (strcmp(line, "bad") == 0)
        return err_set(-EINVAL, "no good");
    strcat(strcat(arg, line), "|");
    return 0;
}

START_TEST(comes_back_whole_whatever_its_length)
{
    static const size_t lengths[] = {0, 1, 4094, 4095, 4096, 4097, 100000};
    for (size_t i = 0; i < TEST_COUNT(lengths); i++) {
        const size_t n = lengths[i];
        char *written = malloc(n + 1), *text;
        size_t len;
        for (size_t k = 0; k < n; k++)
            written[k] = (char)(k * 7);
        const char *path = file_support_write_bytes(written, n);
        ck_assert_int_eq(secret_file_read(path, n, &text, &len), 0);
        ck_assert_uint_eq(len, n);
        ck_assert_int_eq(memcmp(text, written, n), 0);
        ck_assert_int_eq(text[n], '\0');
        secret_file_wipe(text, len);
        free(written);
    }
}
END_TEST

START_TEST(longer_than_allowed_is_refused)
{
    char *text;
    size_t len;
    const char *path = file_support_write("0123456789");
    ck_assert_int_eq(secret_file_read(path, 9, &text, &len), -EFBIG);
    ck_assert_ptr_nonnull(strstr(err_text(), "longer than 9 bytes"));
    ck_assert_int_eq(secret_file_read("/no/such/file", 9, &text, &len), -ENOENT);
    ck_assert_str_eq(err_text(), "/no/such/file: No such file or directory");
    ck_assert_int_eq(secret_file_read("/tmp", 9, &text, &len), -EISDIR);
}
END_TEST

START_TEST(lines_come_in_order_without_blanks_behind_and_without_comments)
{
    static const char text[] = "one\r\n\n# comment\n two \t\r\n   \nthree#3";
    char joined[100] = "";
    const char *path = file_support_write(text);
    ck_assert_int_eq(secret_file_each_line(path, join, joined), 0);
    ck_assert_str_eq(joined, "one| two|three#3|");
    file_support_write("");
    ck_assert_int_eq(secret_file_each_line(path, join, joined), 0);
    ck_assert_str_eq(joined, "one| two|three#3|");
}
END_TEST

START_TEST(an_error_names_file_and_line)
{
    char joined[100] = "", expected[100];
    const char *path = file_support_write("one\n\nbad\ntwo\n");
    ck_assert_int_eq(secret_file_each_line(path, join, joined), -EINVAL);
    snprintf(expected, sizeof(expected), "%s, line 3: no good", path);
    ck_assert_str_eq(err_text(), expected);
    ck_assert_str_eq(joined, "one|");
    file_support_write_bytes("one\ntw\0o\n", 9);
    ck_assert_int_eq(secret_file_each_line(path, join, joined), -EINVAL);
    snprintf(expected, sizeof(expected), "%s, line 2: there is a NUL in it", path);
    ck_assert_str_eq(err_text(), expected);
}
END_TEST

START_TEST(a_file_that_others_may_read_is_exposed)
{
    const char *path = file_support_write("");
    char text[200];
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert(!secret_file_is_exposed(path, text, sizeof(text)));
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert(secret_file_is_exposed(path, text, sizeof(text)));
    ck_assert_ptr_nonnull(strstr(text, "(mode 640): chmod 600"));
    ck_assert(!secret_file_is_exposed("/no/such/file", text, sizeof(text)));
    ck_assert(!secret_file_is_exposed(NULL, text, sizeof(text)));
}
END_TEST

static Suite *secret_file_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("secret_file", &tcase);
    tcase_add_checked_fixture(tcase, file_support_make, file_support_remove);
    tcase_add_test(tcase, comes_back_whole_whatever_its_length);
    tcase_add_test(tcase, longer_than_allowed_is_refused);
    tcase_add_test(tcase, lines_come_in_order_without_blanks_behind_and_without_comments);
    tcase_add_test(tcase, an_error_names_file_and_line);
    tcase_add_test(tcase, a_file_that_others_may_read_is_exposed);
    return suite;
}

TEST_MAIN(secret_file_suite)
