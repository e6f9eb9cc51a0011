/* Tokens made by PyJWT and by attackers (tests/support/jwt_samples.py), and key files. */
#include "jwt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acl.h"
#include "err.h"
#include "test_main.h"

enum { NOW = 1800000000, FIELDS = 8, LINE_MAX_BYTES = 65536 };

static char folder[] = "/tmp/test-jwt.XXXXXX";
static char path[128];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void make_samples(void)
{
    char command[512];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_ptr_nonnull(getenv("JWT_SAMPLES"));
    snprintf(command, sizeof(command), "/usr/bin/python3 '%s' %s > %s/samples", getenv("JWT_SAMPLES"), folder, folder);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c)
}

static void remove_samples(void)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c)
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

static void expect_good(const char *const *fields, const char *expected, int r, struct jwt_claims *claims)
{
    char user[32];
    long long expires;
    ck_assert_msg(r == 0, "%s: %s", fields[0], err_text());
    ck_assert_int_eq(sscanf(expected, "ok:%31[^:]:%lld", user, &expires), 2); // NOLINT(cert-err34-c)
    ck_assert_str_eq(claims->user, user);
    ck_assert_msg(claims->expires_s == expires, "%s: %lld", fields[0], (long long)claims->expires_s);
    ck_assert_msg(!claims->acl == !strstr(fields[0], "acl"), "%s", fields[0]);
    jwt_claims_clear(claims);
}

static void check_sample(const char *const *fields)
{
    const struct jwt_options options = {
        .key_file = in_folder(fields[1]),
        .algorithm = or_null(fields[2]),
        .issuer = or_null(fields[3]),
        .audience = or_null(fields[4]),
    };
    struct jwt_verifier *v;
    struct jwt_claims claims;
    const char *expected = fields[6], *token = fields[7];
    ck_assert_msg(jwt_verifier_new(&options, &v) == 0, "%s: %s", fields[0], err_text());
    const int r = jwt_check(v, bytes_of(token), bytes_of(fields[5]), NOW, &claims);
    if (strncmp(expected, "ok:", 3) == 0) {
        expect_good(fields, expected, r, &claims);
        ck_assert(jwt_is_token(bytes_of(token)));
    } else {
        ck_assert_msg(r == JWT_REFUSED && strstr(err_text(), expected), "%s: %d %s", fields[0], r, err_text());
    }
    jwt_verifier_free(v);
}

static bool read_line(FILE *f, char *line, const char *fields[FIELDS])
{
    if (!fgets(line, LINE_MAX_BYTES, f))
        return false;
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = strsep(&line, "\t");
        ck_assert_ptr_nonnull(fields[i]);
    }
    return true;
}

START_TEST(every_sample_is_taken_or_refused_as_it_should)
{
    static char line[LINE_MAX_BYTES];
    const char *fields[FIELDS];
    int n = 0;
    FILE *f = fopen(in_folder("samples"), "r");
    ck_assert_ptr_nonnull(f);
    for (; read_line(f, line, fields); n++)
        check_sample(fields);
    fclose(f);
    ck_assert_int_gt(n, 150);
}
END_TEST

/* The token of the sample NAME, in LINE. */
static const char *find_token(const char *name, char *line)
{
    const char *fields[FIELDS];
    FILE *f = fopen(in_folder("samples"), "r");
    ck_assert_ptr_nonnull(f);
    do
        ck_assert_msg(read_line(f, line, fields), "%s", name);
    while (strcmp(fields[0], name) != 0);
    fclose(f);
    return fields[7];
}

START_TEST(the_acl_claim_says_what_the_client_may)
{
    static char line[LINE_MAX_BYTES];
    struct jwt_verifier *v;
    struct jwt_claims claims;
    struct acl_view view;
    const char *token = find_token("acl", line);
    ck_assert_int_eq(jwt_verifier_new(&(struct jwt_options){.key_file = in_folder("oct.json")}, &v), 0);
    ck_assert_int_eq(jwt_check(v, bytes_of(token), bytes_of(""), NOW, &claims), 0);
    acl_view_init(&view, NULL, claims.acl, bytes_of(claims.user), bytes_of("c1"));
    ck_assert(acl_may_publish(&view, bytes_of("up/c1")) && !acl_may_publish(&view, bytes_of("up/c2")));
    ck_assert(acl_may_publish(&view, bytes_of("both")) && acl_may_receive(&view, bytes_of("both")));
    ck_assert(acl_may_receive(&view, bytes_of("down/x")) && !acl_may_publish(&view, bytes_of("down/x")));
    acl_view_deinit(&view);
    jwt_claims_clear(&claims);
    jwt_verifier_free(v);
}
END_TEST

START_TEST(other_keys_take_over_or_change_nothing)
{
    static char line[LINE_MAX_BYTES], other_line[LINE_MAX_BYTES];
    struct jwt_verifier *v;
    struct jwt_claims claims;
    const struct mqtt_bytes hs = bytes_of(find_token("HS256 oct", line)),
                            rs = bytes_of(find_token("RS256 rsa", other_line)), anybody = bytes_of("");
    ck_assert_int_eq(jwt_verifier_new(&(struct jwt_options){.key_file = in_folder("oct.json")}, &v), 0);
    ck_assert_int_lt(jwt_verifier_reload(v, &(struct jwt_options){.key_file = in_folder("empty")}), 0);
    ck_assert_int_eq(jwt_check(v, hs, anybody, NOW, &claims), 0);
    jwt_claims_clear(&claims);
    ck_assert_int_eq(jwt_verifier_reload(v, &(struct jwt_options){.key_file = in_folder("rsa.pem")}), 0);
    ck_assert_int_eq(jwt_check(v, hs, anybody, NOW, &claims), JWT_REFUSED);
    ck_assert_int_eq(jwt_check(v, rs, anybody, NOW, &claims), 0);
    jwt_claims_clear(&claims);
    jwt_verifier_free(v);
}
END_TEST

static const struct {
    const char *file, *algorithm, *words;
} bad_keys[] = {
    {"none", NULL, "none: No such file or directory"},
    {"empty", NULL, "empty: not a public key, certificate or JWK"},
    {"text", NULL, "text: not a public key, certificate or JWK"},
    {"private.pem", NULL, "private.pem: it holds a private key"},
    {"private.json", NULL, "private.json: it is a private key"},
    {"short.pem", NULL, "short.pem: it is too short"},
    {"short.json", NULL, "short.json: it is too short"},
    {"off-curve.json", NULL, "off-curve.json: its EC key is not complete, or not one"},
    {"curve.json", NULL, "curve.json: its EC key is not complete, or not one"},
    {"alg.json", NULL, "alg.json: its alg is for another kind of key"},
    {"unknown-alg.json", NULL, "unknown-alg.json: its alg is not known"},
    {"no-kty.json", NULL, "no-kty.json: it has no kty"},
    {"no-keys.json", NULL, "no-keys.json: no key in it"},
    {"bad.json", NULL, "bad.json: line 2: not JSON"},
    {"rsa.pem", "HS256", "rsa.pem: no key for HS256 in it"},
    {"rsa.pem", "none", "rsa.pem: algorithm none is none of"},
};

START_TEST(a_bad_key_file_is_named_with_its_reason)
{
    struct jwt_verifier *v;
    const struct jwt_options options = {.key_file = in_folder(bad_keys[_i].file), .algorithm = bad_keys[_i].algorithm};
    ck_assert_int_lt(jwt_verifier_new(&options, &v), 0);
    ck_assert_msg(strstr(err_text(), bad_keys[_i].words) != NULL, "%s", err_text());
}
END_TEST

START_TEST(of_too_many_keys_the_first_ones_are_used)
{
    struct jwt_verifier *v;
    ck_assert_int_eq(jwt_verifier_new(&(struct jwt_options){.key_file = in_folder("many.json")}, &v), 0);
    jwt_verifier_free(v);
}
END_TEST

START_TEST(a_password_does_not_look_like_a_token)
{
    static const char *const passwords[] = {"", "wonderland", "a.b", "a.b.c.d", "a.b.", "..", "a b.c.d", "a.b.c="};
    for (size_t i = 0; i < TEST_COUNT(passwords); i++)
        ck_assert_msg(!jwt_is_token(bytes_of(passwords[i])), "%s", passwords[i]);
    ck_assert(jwt_is_token(bytes_of("e30.e30.c2ln")));
}
END_TEST

static Suite *jwt_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("jwt", &tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_unchecked_fixture(tcase, make_samples, remove_samples);
    tcase_add_test(tcase, every_sample_is_taken_or_refused_as_it_should);
    tcase_add_test(tcase, the_acl_claim_says_what_the_client_may);
    tcase_add_test(tcase, other_keys_take_over_or_change_nothing);
    tcase_add_loop_test(tcase, a_bad_key_file_is_named_with_its_reason, 0, TEST_COUNT(bad_keys));
    tcase_add_test(tcase, of_too_many_keys_the_first_ones_are_used);
    tcase_add_test(tcase, a_password_does_not_look_like_a_token);
    return suite;
}

TEST_MAIN(jwt_suite)
