/* SCRAM-SHA-256: the exchange of RFC 7677 byte for byte, messages that are bent, users who do not exist, and files. */
#include "scram.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "file_support.h"
#include "scram_file.h"
#include "test_main.h"

/* RFC 7677, section 3; the keys are those of the password "pencil", in PostgreSQL's form. */
#define RFC_LINE                                                                                     \
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:" \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"
#define RFC_OURS         "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_NONCE        "rOprNGfwEbeRWgbNEkqO" RFC_OURS
#define RFC_CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_PROOF        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_CLIENT_FINAL "c=biws,r=" RFC_NONCE "," RFC_PROOF
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram_file *load(const char *text)
{
    struct scram_file *f = NULL;
    const int r = scram_file_load(file_support_write(text), &f);
    ck_assert_msg(r == 0, "%s", err_text());
    return f;
}

static struct scram_server *new_server(const char *text)
{
    struct scram_server *s;
    struct scram_file *f = load(text);
    ck_assert_int_eq(scram_server_new(f, RFC_OURS, &s), 0);
    scram_file_unref(f);
    return s;
}

/* The answer as text in DST. */
static enum scram_result step(struct scram_server *s, const char *message, char dst[512])
{
    struct mqtt_bytes answer = {.len = 0};
    const struct mqtt_bytes bytes = {.ptr = (const uint8_t *)message, .len = (uint32_t)strlen(message)};
    const enum scram_result r = scram_server_step(s, bytes, &answer);
    ck_assert(r != SCRAM_REFUSED || answer.len == 0);
    snprintf(dst, 512, "%.*s", (int)answer.len, answer.len ? (const char *)answer.ptr : "");
    return r;
}

START_TEST(the_exchange_of_rfc_7677)
{
    char answer[512];
    struct scram_server *s = new_server(RFC_LINE);
    ck_assert_uint_eq(scram_server_user(s).len, 0);
    ck_assert_int_eq(step(s, RFC_CLIENT_FIRST, answer), SCRAM_CONTINUE);
    ck_assert_str_eq(answer, RFC_SERVER_FIRST);
    ck_assert_int_eq(step(s, RFC_CLIENT_FINAL, answer), SCRAM_DONE);
    ck_assert_str_eq(answer, RFC_SERVER_FINAL);
    ck_assert_uint_eq(scram_server_user(s).len, 4);
    ck_assert_int_eq(memcmp(scram_server_user(s).ptr, "user", 4), 0);
    ck_assert_int_eq(step(s, RFC_CLIENT_FINAL, answer), SCRAM_REFUSED);
    scram_server_free(s);
}
END_TEST

static const struct {
    const char *first, *words;
} bad_firsts[] = {
    {"", "empty"},
    {"n", "channel binding"},
    {"n,", "channel binding"},
    {"n,,", "is cut"},
    {"p=tls-unique,,n=user,r=abc", "channel binding is not offered"},
    {"x,,n=user,r=abc", "channel binding is not offered"},
    {"n,a=admin,n=user,r=abc", "an authorization identity is not taken"},
    {"n,,m=x,n=user,r=abc", "no user name"},
    {"n,,n=,r=abc", "no user name"},
    {"n,,n=us=er,r=abc", "no user name"},
    {"n,,n=us=2c,r=abc", "no user name"},
    {"n,,n=us=2,r=abc", "no user name"},
    {"n,,n=us\xff,r=abc", "no user name"},
    {"n,,r=abc,n=user", "no user name"},
    {"n,,n=user", "no nonce"},
    {"n,,n=user,r=", "no nonce"},
    {"n,,n=user,r=a b", "no nonce"},
    {"n,,n=user,r=a\x7f", "no nonce"},
};

START_TEST(a_bent_first_message_is_refused)
{
    char answer[512];
    struct scram_server *s = new_server(RFC_LINE);
    ck_assert_int_eq(step(s, bad_firsts[_i].first, answer), SCRAM_REFUSED);
    ck_assert_msg(strstr(err_text(), bad_firsts[_i].words) != NULL, "%s", err_text());
    ck_assert_int_eq(step(s, RFC_CLIENT_FIRST, answer), SCRAM_REFUSED);
    scram_server_free(s);
}
END_TEST

static const struct {
    const char *final, *words;
} bad_finals[] = {
    {"c=biws,r=" RFC_NONCE, "no proof"},
    {RFC_PROOF, "no proof"},
    {"c=biws,r=" RFC_NONCE ",p=", "no proof"},
    {"c=biws,r=" RFC_NONCE ",p=AAAA", "no proof"},
    {"c=biws,r=" RFC_NONCE "," RFC_PROOF ",x=y", "no proof"},
    {"c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", "no proof"},
    {"c=eSws,r=" RFC_NONCE "," RFC_PROOF, "another binding"},
    {"c=,r=" RFC_NONCE "," RFC_PROOF, "another binding"},
    {"r=" RFC_NONCE "," RFC_PROOF, "another binding"},
    {"c=biws,r=rOprNGfwEbeRWgbNEkqO," RFC_PROOF, "another nonce"},
    {"c=biws,r=" RFC_NONCE "x," RFC_PROOF, "another nonce"},
    {"c=biws,r=," RFC_PROOF, "another nonce"},
    {"c=biws,r=" RFC_NONCE ",x=y," RFC_PROOF, "wrong password"}, /* an extension is part of what was signed */
    {"c=biws,r=" RFC_NONCE ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "wrong password"},
};

START_TEST(a_bent_last_message_is_refused)
{
    char answer[512];
    struct scram_server *s = new_server(RFC_LINE);
    ck_assert_int_eq(step(s, RFC_CLIENT_FIRST, answer), SCRAM_CONTINUE);
    ck_assert_int_eq(step(s, bad_finals[_i].final, answer), SCRAM_REFUSED);
    ck_assert_msg(strstr(err_text(), bad_finals[_i].words) != NULL, "%s", err_text());
    ck_assert_int_eq(step(s, RFC_CLIENT_FINAL, answer), SCRAM_REFUSED);
    scram_server_free(s);
}
END_TEST

START_TEST(a_name_comes_without_its_escapes)
{
    char answer[512];
    struct scram_server *s = new_server(RFC_LINE);
    ck_assert_int_eq(step(s, "y,,n=a=2Cb=3D=2C,r=abc,x=ignored", answer), SCRAM_CONTINUE);
    ck_assert_uint_eq(scram_server_user(s).len, 5);
    ck_assert_int_eq(memcmp(scram_server_user(s).ptr, "a,b=,", 5), 0);
    scram_server_free(s);
}
END_TEST

START_TEST(the_longest_nonce_fits_and_a_longer_one_does_not)
{
    char first[400], answer[512];
    for (int len = 256; len <= 257; len++) {
        struct scram_server *s = new_server(RFC_LINE);
        snprintf(first, sizeof(first), "n,,n=user,r=%0*d", len, 7);
        ck_assert_int_eq(step(s, first, answer), len == 256 ? SCRAM_CONTINUE : SCRAM_REFUSED);
        scram_server_free(s);
    }
}
END_TEST

START_TEST(our_part_of_the_nonce_differs_each_time)
{
    char one[512], two[512];
    struct scram_file *f = load(RFC_LINE);
    struct scram_server *a, *b;
    ck_assert_int_eq(scram_server_new(f, NULL, &a), 0);
    ck_assert_int_eq(scram_server_new(f, NULL, &b), 0);
    ck_assert_int_eq(step(a, RFC_CLIENT_FIRST, one), SCRAM_CONTINUE);
    ck_assert_int_eq(step(b, RFC_CLIENT_FIRST, two), SCRAM_CONTINUE);
    ck_assert_str_ne(one, two);
    ck_assert_uint_eq(strcspn(one, ","), strlen("r=rOprNGfwEbeRWgbNEkqO") + SCRAM_NONCE_LEN);
    scram_server_free(a);
    scram_server_free(b);
    scram_file_unref(f);
}
END_TEST

/* --- Users who do not exist */

static void find(const struct scram_file *f, const char *user, struct scram_secret *ret)
{
    scram_file_find(f, user, strlen(user), ret);
}

START_TEST(a_stranger_looks_like_a_user_today_and_tomorrow)
{
    struct scram_secret real, stranger, again, other;
    struct scram_file *f = load(RFC_LINE), *tomorrow = load(RFC_LINE);
    find(f, "user", &real);
    find(f, "stranger", &stranger);
    find(tomorrow, "stranger", &again);
    find(f, "somebody", &other);
    ck_assert_uint_eq(stranger.iterations, real.iterations);
    ck_assert_uint_eq(stranger.salt_len, real.salt_len);
    ck_assert_int_eq(memcmp(stranger.salt, again.salt, stranger.salt_len), 0);
    ck_assert_int_ne(memcmp(stranger.salt, other.salt, stranger.salt_len), 0);
    ck_assert_int_ne(memcmp(stranger.salt, real.salt, stranger.salt_len), 0);
    ck_assert_int_ne(memcmp(stranger.stored_key, real.stored_key, SCRAM_KEY_LEN), 0);
    scram_file_unref(f);
    scram_file_unref(tomorrow);
}
END_TEST

START_TEST(a_stranger_is_refused_at_the_end_only)
{
    static const char *const texts[] = {RFC_LINE, ""};
    char answer[512];
    for (int i = 0; i < 2; i++) {
        struct scram_server *s = new_server(texts[i]);
        ck_assert_int_eq(step(s, "n,,n=stranger,r=rOprNGfwEbeRWgbNEkqO", answer), SCRAM_CONTINUE);
        ck_assert_int_eq(step(s, RFC_CLIENT_FINAL, answer), SCRAM_REFUSED);
        ck_assert_str_eq(err_text(), "SCRAM: wrong password or unknown user");
        scram_server_free(s);
    }
}
END_TEST

/* --- Files */

static const struct {
    const char *text, *words;
} bad_files[] = {
    {"user\n", ", line 1: expected user:"},
    {":SCRAM-SHA-256$4096:AAAA$B:C\n", ", line 1: expected user:"},
    {RFC_LINE "\n" RFC_LINE, ", line 3: there is a line for user already"},
    {"user:SCRAM-SHA-1$4096:AAAA$B:C\n", "user user: expected SCRAM-SHA-256$"},
    {"user:SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n",
     "with 4096 iterations or more"},
    {"user:SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n",
     "expected SCRAM-SHA-256$"},
    {"user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:AAAA\n",
     "expected SCRAM-SHA-256$"},
    {"user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=\n",
     "expected SCRAM-SHA-256$"},
};

START_TEST(a_bad_line_is_named_without_its_keys)
{
    struct scram_file *f;
    ck_assert_int_lt(scram_file_load(file_support_write(bad_files[_i].text), &f), 0);
    ck_assert_msg(strstr(err_text(), bad_files[_i].words) != NULL, "%s", err_text());
    ck_assert_ptr_null(strstr(err_text(), "WG5d"));
}
END_TEST

START_TEST(a_line_that_we_made_can_be_read)
{
    char secret[SCRAM_LINE_MAX], line[SCRAM_LINE_MAX + 8], other[SCRAM_LINE_MAX];
    struct scram_secret found;
    ck_assert_int_eq(scram_secret_make("pencil", 6, 5000, secret), 0);
    ck_assert_int_eq(scram_secret_make("pencil", 6, 5000, other), 0);
    ck_assert_str_ne(secret, other);
    snprintf(line, sizeof(line), "user:%s\n", secret);
    struct scram_file *f = load(line);
    find(f, "user", &found);
    ck_assert_uint_eq(found.iterations, 5000);
    ck_assert_uint_eq(found.salt_len, 16);
    scram_file_unref(f);
}
END_TEST

/* A client of Python's, which knows the password and nothing of our code: its last message, then what it expects. */
static const char CLIENT[] =
    "import base64, hashlib, hmac, sys\n"
    "first = sys.argv[1]\n"
    "nonce, salt, count = (part[2:] for part in first.split(','))\n"
    "salted = hashlib.pbkdf2_hmac('sha256', sys.argv[2].encode(), base64.b64decode(salt), int(count))\n"
    "key = hmac.digest(salted, b'Client Key', 'sha256')\n"
    "bare = 'c=biws,r=' + nonce\n"
    "message = ','.join(('n=user,r=abc', first, bare)).encode()\n"
    "signature = hmac.digest(hashlib.sha256(key).digest(), message, 'sha256')\n"
    "proof = bytes(a ^ b for a, b in zip(key, signature))\n"
    "print(bare + ',p=' + base64.b64encode(proof).decode())\n"
    "server = hmac.digest(hmac.digest(salted, b'Server Key', 'sha256'), message, 'sha256')\n"
    "print('v=' + base64.b64encode(server).decode())\n";

static void ask_client(const char *first, const char *password, char last[512], char expected[512])
{
    char command[2048];
    snprintf(command, sizeof(command), "/usr/bin/python3 -c \"%s\" '%s' '%s'", CLIENT, first, password);
    FILE *f = popen(command, "r"); // NOLINT(cert-env33-c)
    ck_assert_ptr_nonnull(f);
    ck_assert(fgets(last, 512, f) && fgets(expected, 512, f));
    ck_assert_int_eq(pclose(f), 0);
    last[strcspn(last, "\n")] = expected[strcspn(expected, "\n")] = '\0';
}

START_TEST(who_knows_the_password_gets_in_and_knows_the_server)
{
    char secret[SCRAM_LINE_MAX], line[SCRAM_LINE_MAX + 8], first[512], last[512], expected[512], answer[512];
    ck_assert_int_eq(scram_secret_make("p\xc3\xa4ss", 5, 4096, secret), 0);
    snprintf(line, sizeof(line), "user:%s\n", secret);
    for (int is_right = 0; is_right < 2; is_right++) {
        struct scram_server *s = new_server(line);
        ck_assert_int_eq(step(s, "n,,n=user,r=abc", first), SCRAM_CONTINUE);
        ask_client(first, is_right ? "p\xc3\xa4ss" : "pass", last, expected);
        ck_assert_int_eq(step(s, last, answer), is_right ? SCRAM_DONE : SCRAM_REFUSED);
        ck_assert_str_eq(answer, is_right ? expected : "");
        scram_server_free(s);
    }
}
END_TEST

static Suite *scram_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("scram", &tcase);
    tcase_add_checked_fixture(tcase, file_support_make, file_support_remove);
    tcase_add_test(tcase, the_exchange_of_rfc_7677);
    tcase_add_loop_test(tcase, a_bent_first_message_is_refused, 0, TEST_COUNT(bad_firsts));
    tcase_add_loop_test(tcase, a_bent_last_message_is_refused, 0, TEST_COUNT(bad_finals));
    tcase_add_test(tcase, a_name_comes_without_its_escapes);
    tcase_add_test(tcase, the_longest_nonce_fits_and_a_longer_one_does_not);
    tcase_add_test(tcase, our_part_of_the_nonce_differs_each_time);
    tcase_add_test(tcase, a_stranger_looks_like_a_user_today_and_tomorrow);
    tcase_add_test(tcase, a_stranger_is_refused_at_the_end_only);
    tcase_add_loop_test(tcase, a_bad_line_is_named_without_its_keys, 0, TEST_COUNT(bad_files));
    tcase_add_test(tcase, a_line_that_we_made_can_be_read);
    tcase_add_test(tcase, who_knows_the_password_gets_in_and_knows_the_server);
    return suite;
}

TEST_MAIN(scram_suite)
