/* A password file: who is in it, who is not, and what is wrong with it. */
#include "password_file.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "file_support.h"
#include "test_main.h"

#define HASH_A "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define HASH_S "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI"

static const struct password_hash *find(const struct password_file *p, const char *user, bool *ret_is_known)
{
    return password_file_find(p, user, strlen(user), ret_is_known);
}

START_TEST(everybody_is_found_by_name)
{
    struct password_file *p;
    bool is_known;
    const char *path = file_support_write("# users\n\nalice:" HASH_A "\r\nb\xc3\xb6rge b:" HASH_S "\n");
    ck_assert_int_eq(password_file_load(path, &p), 0);
    ck_assert_uint_eq(password_file_count(p), 2);
    ck_assert_int_eq(find(p, "alice", &is_known)->kind, PASSWORD_HASH_ARGON2ID);
    ck_assert(is_known);
    ck_assert_int_eq(find(p, "b\xc3\xb6rge b", &is_known)->kind, PASSWORD_HASH_SCRYPT);
    ck_assert(is_known);
    password_file_unref(p);
}
END_TEST

START_TEST(a_stranger_gets_somebody_elses_hash_and_always_the_same)
{
    struct password_file *p;
    bool is_known = true;
    char name[32];
    bool has_been[2] = {false, false};
    ck_assert_int_eq(password_file_load(file_support_write("alice:" HASH_A "\nbob:" HASH_S "\n"), &p), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "stranger %d", i);
        const struct password_hash *h = find(p, name, &is_known);
        ck_assert(!is_known);
        ck_assert_ptr_eq(h, find(p, name, &is_known));
        has_been[h->kind == PASSWORD_HASH_SCRYPT] = true;
    }
    ck_assert(has_been[0] && has_been[1]);
    ck_assert_ptr_nonnull(find(p, "", &is_known));
    ck_assert(!is_known);
    ck_assert_ptr_nonnull(find(p, "Alice", &is_known));
    ck_assert(!is_known);
    password_file_unref(p);
}
END_TEST

START_TEST(an_empty_file_knows_nobody)
{
    struct password_file *p;
    bool is_known = true;
    ck_assert_int_eq(password_file_load(file_support_write("# none\n"), &p), 0);
    ck_assert_ptr_null(find(p, "alice", &is_known));
    ck_assert(!is_known);
    password_file_unref(p);
}
END_TEST

static const struct {
    const char *text, *words;
} bad[] = {
    {"alice\n", ", line 1: expected user:hash"},
    {":" HASH_A "\n", ", line 1: expected user:hash"},
    {"\n# x\nalice:\n", ", line 3: user alice: expected a hash that begins with"},
    {"alice:geheim\n", ", line 1: user alice: expected a hash that begins with"},
    {"alice:" HASH_A "\nbob:" HASH_S "\nalice:" HASH_S "\n", ", line 3: there is a line for alice already"},
    {"alice:$argon2id$geheim\n", ", line 1: user alice: its Argon2id hash is cut, misspelt or out of bounds"},
};

START_TEST(a_bad_line_is_named_without_its_hash)
{
    struct password_file *p;
    ck_assert_int_lt(password_file_load(file_support_write(bad[_i].text), &p), 0);
    ck_assert_msg(strstr(err_text(), bad[_i].words) != NULL, "%s", err_text());
    ck_assert_ptr_null(strstr(err_text(), "geheim"));
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    struct password_file *p;
    ck_assert_int_lt(password_file_load("/no/such/file", &p), 0);
    ck_assert_str_eq(err_text(), "/no/such/file: No such file or directory");
}
END_TEST

static Suite *password_file_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("password_file", &tcase);
    tcase_add_checked_fixture(tcase, file_support_make, file_support_remove);
    tcase_add_test(tcase, everybody_is_found_by_name);
    tcase_add_test(tcase, a_stranger_gets_somebody_elses_hash_and_always_the_same);
    tcase_add_test(tcase, an_empty_file_knows_nobody);
    tcase_add_loop_test(tcase, a_bad_line_is_named_without_its_hash, 0, TEST_COUNT(bad));
    tcase_add_test(tcase, a_file_that_is_not_there_is_named);
    return suite;
}

TEST_MAIN(password_file_suite)
