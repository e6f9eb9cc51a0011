/* Hashes of passwords: those of others are understood, ours by others, and what is bent is refused. */
#include "password_hash.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

static int check_text(const char *hash, const char *password)
{
    struct password_hash h;
    const int r = password_hash_parse(hash, &h);
    ck_assert_msg(r == 0, "%s: %s", hash, err_text());
    return password_hash_check(&h, password, strlen(password));
}

/* argon2's own tests, RFC 7914 section 12, and lines of mosquitto_passwd 2.0.11. */
static const struct {
    const char *password, *hash;
} known[] = {
    {"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
    {"pleaseletmein", "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz"
                      "2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"},
    {"wonderland", "$7$101$FBjR21vIpZRYBEH+$s1ECeQvYAWnz+WTdpH1QRrMoFyADWfqmrmUhynv+mqfdQyok9QyWDMT7EmF7PrVwilhkbKFU/"
                   "TofqIdHO4xQWQ=="},
    {"wonderland", "$6$Wj9cM1F5j5gU+7uz$6GYhEkDMcru+w8Z+i5k0EQ8KbxwlLb8Gutp11lJ1jdopkZJclpVsh2a82vVL6tDtY7u2MxbH2gd7wm3"
                   "F92MeZg=="},
};

START_TEST(hashes_of_others_are_understood)
{
    char longer[64];
    const char *password = known[_i].password;
    ck_assert_int_eq(check_text(known[_i].hash, password), 0);
    snprintf(longer, sizeof(longer), "%s ", password);
    ck_assert_int_eq(check_text(known[_i].hash, longer), PASSWORD_HASH_DIFFERS);
    ck_assert_int_eq(check_text(known[_i].hash, ""), PASSWORD_HASH_DIFFERS);
}
END_TEST

START_TEST(ours_have_a_salt_each_and_are_checked)
{
    char one[PASSWORD_HASH_TEXT_MAX], two[PASSWORD_HASH_TEXT_MAX];
    const enum password_hash_kind kind = (enum password_hash_kind)_i;
    ck_assert_int_eq(password_hash_make(kind, "p\xc3\xa4ss", 5, one), 0);
    ck_assert_int_eq(password_hash_make(kind, "p\xc3\xa4ss", 5, two), 0);
    ck_assert_str_ne(one, two);
    ck_assert_int_eq(check_text(one, "p\xc3\xa4ss"), 0);
    ck_assert_int_eq(check_text(one, "pass"), PASSWORD_HASH_DIFFERS);
    ck_assert_int_eq(password_hash_make(kind, NULL, 0, one), 0);
    ck_assert_int_eq(check_text(one, ""), 0);
}
END_TEST

START_TEST(a_hash_of_the_argon2_program_is_understood)
{
    char hash[PASSWORD_HASH_TEXT_MAX];
    FILE *f = popen("printf rabbit | argon2 0123456789abcdef -id -t 3 -k 128 -p 2 -e", "r"); // NOLINT(cert-env33-c)
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(hash, sizeof(hash), f));
    ck_assert_int_eq(pclose(f), 0);
    hash[strcspn(hash, "\n")] = '\0';
    ck_assert_int_eq(check_text(hash, "rabbit"), 0);
    ck_assert_int_eq(check_text(hash, "hare"), PASSWORD_HASH_DIFFERS);
}
END_TEST

#define SALT "c29tZXNhbHQ"
#define KEY  "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define KEY64                                            \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

static const char *const bad[] = {
    "",
    "secret",
    "$argon2i$v=19$m=256,t=2,p=1$" SALT "$" KEY,
    "$argon2id$v=16$m=256,t=2,p=1$" SALT "$" KEY,
    "$argon2id$m=256,t=2,p=1$" SALT "$" KEY,
    "$argon2id$v=19$t=2,m=256,p=1$" SALT "$" KEY,
    "$argon2id$v=19$m=4294967295,t=2,p=1$" SALT "$" KEY,
    "$argon2id$v=19$m=1048577,t=2,p=1$" SALT "$" KEY,
    "$argon2id$v=19$m=256,t=0,p=1$" SALT "$" KEY,
    "$argon2id$v=19$m=256,t=-1,p=1$" SALT "$" KEY,
    "$argon2id$v=19$m=256,t=2,p=17$" SALT "$" KEY,
    "$argon2id$v=19$m=8,t=2,p=2$" SALT "$" KEY,
    "$argon2id$v=19$m=256,t=2,p=1$AAAA$" KEY, /* a salt of 3 bytes */
    "$argon2id$v=19$m=256,t=2,p=1$" SALT "$AAAA",
    "$argon2id$v=19$m=256,t=2,p=1$" SALT "$",
    "$argon2id$v=19$m=256,t=2,p=1$" SALT,
    "$argon2id$v=19$m=256,t=2,p=1$$" KEY,
    "$argon2id$v=19$m=256,t=2,p=1$" SALT "$" KEY " ",
    "$argon2id$v=19$m=256,t=2,p=1$" SALT "$" KEY "$",
    "$argon2id$v=19$m=00000000000256,t=2,p=1$" SALT "$" KEY,
    "$scrypt$ln=21,r=8,p=1$" SALT "$" KEY,
    "$scrypt$ln=20,r=9,p=1$" SALT "$" KEY, /* more than a gibibyte */
    "$scrypt$ln=0,r=8,p=1$" SALT "$" KEY,
    "$scrypt$ln=14,r=8$" SALT "$" KEY,
    "$7$0$" SALT "$" KEY64,
    "$7$101$" SALT "$" KEY,
    "$7$" SALT "$" KEY64,
    "$6$" SALT "$" KEY,
    "$6$" SALT,
    "$6$$" KEY64,
    "$5$" SALT "$" KEY64,
};

START_TEST(a_bent_hash_is_refused_and_not_shown)
{
    struct password_hash h;
    ck_assert_int_lt(password_hash_parse(bad[_i], &h), 0);
    ck_assert_ptr_null(strstr(err_text(), SALT));
    ck_assert_ptr_null(strstr(err_text(), "secret"));
}
END_TEST

START_TEST(the_key_of_zeros_in_the_table_would_be_taken)
{
    struct password_hash h;
    ck_assert_int_eq(password_hash_parse("$7$101$" SALT "$" KEY64, &h), 0);
}
END_TEST

static Suite *password_hash_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("password_hash", &tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, hashes_of_others_are_understood, 0, TEST_COUNT(known));
    tcase_add_loop_test(tcase, ours_have_a_salt_each_and_are_checked, PASSWORD_HASH_ARGON2ID, PASSWORD_HASH_SCRYPT + 1);
    tcase_add_test(tcase, a_hash_of_the_argon2_program_is_understood);
    tcase_add_loop_test(tcase, a_bent_hash_is_refused_and_not_shown, 0, TEST_COUNT(bad));
    tcase_add_test(tcase, the_key_of_zeros_in_the_table_would_be_taken);
    return suite;
}

TEST_MAIN(password_hash_suite)
