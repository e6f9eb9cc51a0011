/* tenant_template: which texts are templates, what they become, and that no value can make one client's another's. */
#include "tenant_template.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "tenant.h"
#include "test_main.h"

static struct mqtt_bytes text(const char *s)
{
    return (struct mqtt_bytes){(const uint8_t *)s, s ? (uint32_t)strlen(s) : 0};
}

static struct tenant_values values(const char *user, const char *client_id, const char *certificate)
{
    return (struct tenant_values){.of = {text(user), text(client_id), text(certificate)}};
}

static const struct {
    const char *text;
    const char *wrong; /* in the message; NULL: it is a mount point */
} mount_points[] = {
    {"acme", NULL},
    {"acme/", NULL},
    {"a/b//c", NULL},
    {"/acme", NULL},
    {"%u", NULL},
    {"site/%u/%c", NULL},
    {"%n-%u", NULL},
    {"100%%/%u", NULL},
    {"%u%%%c", NULL},
    {"", "nothing is given"},
    {"a/#", "wildcards"},
    {"a/+/b", "wildcards"},
    {"$SYS/a", "begin with $"},
    {"$", "begin with $"},
    {"%u%c", "stand between two values"},
    {"%U", "%U is none of %u, %c, %n, %%"},
    {"a%", "% is none of"},
    {"\xff", "UTF-8"},
};

START_TEST(mount_points_are_checked)
{
    int r = tenant_check_mount_point(mount_points[_i].text);
    ck_assert_int_eq(r, mount_points[_i].wrong ? -EINVAL : 0);
    if (mount_points[_i].wrong && !strstr(err_text(), mount_points[_i].wrong))
        ck_abort_msg("says: %s", err_text());
}
END_TEST

START_TEST(a_value_at_the_end_of_a_prefix_is_refused)
{
    ck_assert_int_eq(tenant_check_client_id_prefix("acme"), 0);
    ck_assert_int_eq(tenant_check_client_id_prefix("#+$"), 0);
    ck_assert_int_eq(tenant_check_client_id_prefix("%u:"), 0);
    ck_assert_int_eq(tenant_check_client_id_prefix("%u"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err_text(), "has to follow that ends the value: %u-"));
}
END_TEST

START_TEST(the_need_for_a_certificate_is_seen)
{
    ck_assert(tenant_needs_certificate("a/%n"));
    ck_assert(tenant_needs_certificate("%%%n"));
    ck_assert(!tenant_needs_certificate("%%n/%u"));
    ck_assert(!tenant_needs_certificate("n"));
    ck_assert(!tenant_needs_certificate(NULL));
}
END_TEST

enum { USER = TENANT_TEMPLATE_BAD + TENANT_USER, ID = TENANT_TEMPLATE_BAD + TENANT_CLIENT_ID };
enum { CERTIFICATE = TENANT_TEMPLATE_BAD + TENANT_CERTIFICATE };

static const struct {
    const char *template, *user, *client_id, *certificate;
    int result;
    const char *becomes;
} fills[] = {
    {"acme", NULL, NULL, NULL, 0, "acme"},
    {"site/%u", "pump", NULL, NULL, 0, "site/pump"},
    {"%n/%c-%u/x", "u", "c", "n", 0, "n/c-u/x"},
    {"50%%/%u", "u", NULL, NULL, 0, "50%/u"},
    {"%u/", "zo\xc3\xab $x", NULL, NULL, 0, "zo\xc3\xab $x/"},
    {"%u", NULL, "c", "n", USER, NULL},
    {"%u", "", "c", "n", USER, NULL},
    {"%u", "a/b", NULL, NULL, USER, NULL},
    {"%u", "/", NULL, NULL, USER, NULL},
    {"%u", "a+", NULL, NULL, USER, NULL},
    {"%u", "#", NULL, NULL, USER, NULL},
    {"%u-x", "a-b", NULL, NULL, USER, NULL},
    {"%u%%", "a%b", NULL, NULL, USER, NULL},
    {"%u\xc3\xab", "a\xc3\xa9", NULL, NULL, 0, "a\xc3\xa9\xc3\xab"},
    {"%u\xc3\xab", "a\xc3\xab", NULL, NULL, USER, NULL},
    {"a/%c", "u", NULL, NULL, ID, NULL},
    {"a/%c", "u", "x/../y", NULL, ID, NULL},
    {"%n", "u", "c", NULL, CERTIFICATE, NULL},
    {"%n", "u", "c", "\xff", CERTIFICATE, NULL},
};

START_TEST(a_template_becomes_a_text_or_the_value_is_named)
{
    const struct tenant_values v = values(fills[_i].user, fills[_i].client_id, fills[_i].certificate);
    uint8_t dst[100];
    size_t len = 99, measured = 99;
    ck_assert_int_eq(tenant_template_fill(fills[_i].template, &v, NULL, &measured), fills[_i].result);
    ck_assert_int_eq(tenant_template_fill(fills[_i].template, &v, dst, &len), fills[_i].result);
    ck_assert_uint_eq(len, fills[_i].becomes ? strlen(fills[_i].becomes) : 99);
    ck_assert_uint_eq(measured, len);
    if (fills[_i].becomes)
        ck_assert_mem_eq(dst, fills[_i].becomes, len);
}
END_TEST

START_TEST(a_value_with_nul_is_refused)
{
    struct tenant_values v = values("a", NULL, NULL);
    size_t len;
    v.of[TENANT_USER].len = 2; /* with the NUL behind it */
    ck_assert_int_eq(tenant_template_fill("%u", &v, NULL, &len), USER);
}
END_TEST

START_TEST(what_no_topic_can_hold_is_refused)
{
    static uint8_t name[MQTT_STRING_MAX];
    struct tenant_values v = values(NULL, NULL, NULL);
    size_t len;
    memset(name, 'x', sizeof(name));
    v.of[TENANT_USER] = (struct mqtt_bytes){name, sizeof(name)};
    ck_assert_int_eq(tenant_template_fill("%u", &v, NULL, &len), 0);
    ck_assert_uint_eq(len, MQTT_STRING_MAX);
    ck_assert_int_eq(tenant_template_fill("%u/", &v, NULL, &len), TENANT_TEMPLATE_LONG);
    ck_assert_int_eq(tenant_template_fill("a%u", &v, NULL, &len), TENANT_TEMPLATE_LONG);
}
END_TEST

/* All values of up to three bytes out of a small alphabet, for templates that leave them next to other text. */
START_TEST(different_values_never_make_one_text_the_beginning_of_another)
{
    static const char *const templates[] = {"%u/", "%u-", "x%u-y", "%u%%"};
    static const char alphabet[] = "a-/%y";
    static uint8_t texts[200][16];
    size_t lens[200], n = 0;
    const size_t letters = strlen(alphabet);
    for (size_t code = 0; code < letters * letters * letters; code++) {
        char user[4] = {alphabet[code % letters], alphabet[code / letters % letters],
                        alphabet[code / letters / letters], '\0'};
        const struct tenant_values v = values(user, NULL, NULL);
        if (tenant_template_fill(templates[_i], &v, texts[n], &lens[n]) == 0)
            n++;
    }
    ck_assert_uint_gt(n, 20);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            ck_assert(i == j || lens[i] > lens[j] || memcmp(texts[i], texts[j], lens[i]) != 0);
    }
}
END_TEST

static Suite *tenant_template_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("tenant_template", &tc);
    tcase_add_loop_test(tc, mount_points_are_checked, 0, TEST_COUNT(mount_points));
    tcase_add_test(tc, a_value_at_the_end_of_a_prefix_is_refused);
    tcase_add_test(tc, the_need_for_a_certificate_is_seen);
    tcase_add_loop_test(tc, a_template_becomes_a_text_or_the_value_is_named, 0, TEST_COUNT(fills));
    tcase_add_test(tc, a_value_with_nul_is_refused);
    tcase_add_test(tc, what_no_topic_can_hold_is_refused);
    tcase_add_loop_test(tc, different_values_never_make_one_text_the_beginning_of_another, 0, 4);
    return suite;
}

TEST_MAIN(tenant_template_suite)
