/* sp_identity: names, what an entry believes, and that entries outlive their list. Streams with certificates and tokens
 * come in tests/integration/chain/tenants.py. */
#include "sp_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "sp_options.h"
#include "test_main.h"
#include "trunk_frame.h"

START_TEST(a_name_is_meant_in_full_or_in_its_beginning)
{
    static const char name[] = "spiffe://mqtt.example/site-1";
    ck_assert(sp_identity_name_matches(name, name, strlen(name)));
    ck_assert(!sp_identity_name_matches(name, name, strlen(name) - 1));
    ck_assert(!sp_identity_name_matches("spiffe://mqtt.example/site-10", name, strlen(name)));
    ck_assert(sp_identity_name_matches("spiffe://mqtt.example/*", name, strlen(name)));
    ck_assert(sp_identity_name_matches("*", name, strlen(name)));
    ck_assert(!sp_identity_name_matches("spiffe://mqtt.exampl/*", name, strlen(name)));
    ck_assert_int_eq(sp_identity_check_name("a*"), 0);
    ck_assert_int_eq(sp_identity_check_name("a*b"), -EINVAL);
    ck_assert_int_eq(sp_identity_check_name(""), -EINVAL);
}
END_TEST

static const struct trunk_client said = {
    .source = {(const uint8_t *)"192.0.2.1:5", 11},
    .tls_version = {(const uint8_t *)"TLSv1.3", 7},
    .common_name = {(const uint8_t *)"pump-3", 6},
    .is_tls = true,
    .has_certificate = true,
};

/* An entry without name and token, which fits everybody, so that no stream is asked. */
static struct sp_identity *identity_with(struct sp_identity_options *o, const char *first, const char *second)
{
    const char *words[] = {first, second};
    const struct config_items items = {.items = o, .count = 1};
    struct sp_identities *list;
    o->trust = (struct config_list){.items = (char **)words, .count = (first != NULL) + (second != NULL)};
    ck_assert_int_eq(sp_identities_new(&items, &list), 0);
    struct sp_identity *identity = sp_identities_find(list, NULL);
    ck_assert_ptr_nonnull(identity);
    sp_identities_free(list);
    return identity;
}

static struct trunk_client believed(const char *first, const char *second)
{
    struct sp_identity_options o = {.name = NULL};
    struct sp_identity *identity = identity_with(&o, first, second);
    struct trunk_client client = said;
    sp_identity_censor(identity, &client);
    ck_assert_ptr_null(sp_identity_unref(identity));
    return client;
}

START_TEST(an_r_proxy_is_believed_what_its_entry_says)
{
    struct trunk_client nothing = believed(NULL, NULL), address = believed("address", NULL),
                        certificate = believed("certificate", NULL), both = believed("certificate", "address");
    ck_assert(nothing.source.len == 0 && !nothing.is_tls && !nothing.has_certificate && nothing.common_name.len == 0);
    ck_assert(address.source.len == 11 && !address.is_tls && address.tls_version.len == 0);
    ck_assert(certificate.source.len == 0 && certificate.has_certificate && certificate.common_name.len == 6);
    ck_assert_mem_eq(&both, &said, sizeof(said));
}
END_TEST

START_TEST(without_a_list_all_is_believed_and_nobody_is_a_tenant)
{
    struct trunk_client client = said;
    sp_identity_censor(NULL, &client);
    ck_assert_mem_eq(&client, &said, sizeof(said));
    ck_assert_ptr_null(sp_identity_rules(NULL).mount_point);
    ck_assert_ptr_null(sp_identity_ref(NULL));
    ck_assert_ptr_null(sp_identity_unref(NULL));
}
END_TEST

START_TEST(an_entry_outlives_its_list)
{
    struct sp_identity_options o = {.mount_point = (char *)"acme", .client_id_prefix = (char *)"acme:"};
    struct sp_identity *identity = identity_with(&o, NULL, NULL), *second = sp_identity_ref(identity);
    sp_identity_unref(identity);
    const struct tenant_rules rules = sp_identity_rules(second);
    ck_assert_str_eq(rules.mount_point, "acme");
    ck_assert_str_eq(rules.client_id_prefix, "acme:");
    ck_assert_ptr_ne(rules.mount_point, o.mount_point);
    sp_identity_unref(second);
}
END_TEST

START_TEST(a_list_with_a_bad_file_is_none)
{
    struct sp_identity_options o[] = {{.mount_point = (char *)"acme"}, {.tokens_file = (char *)"/nowhere/tokens"}};
    const struct config_items items = {.items = o, .count = 2};
    struct sp_identities *list = NULL;
    ck_assert_int_eq(sp_identities_new(&items, &list), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err_text(), "trunk-identities: /nowhere/tokens"));
    ck_assert_ptr_null(list);
}
END_TEST

static char folder[] = "/tmp/sp_identity-XXXXXX";

static void enter_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    remove("s.yaml");
    rmdir(folder);
}

static const struct {
    const char *entries, *wrong; /* NULL: it is good */
} lists[] = {
    {"[{mount-point: a, trust: [address, certificate]}]", NULL},
    {"[{mount-point: a/%n, trust: certificate}]", NULL},
    {"[{mount-point: a/%n}]", "s.yaml:1: trunk-identities: %n needs trust: [certificate]"},
    {"[{client-id-prefix: '%n:', trust: address}]", "%n needs trust: [certificate]"},
    {"[{name: a}]", "s.yaml:1: trunk-identities: name needs trunk-tls-client-ca"},
    {"[{tokens-file: t}, {mount-point: a}]", NULL},
    {"[{mount-point: a}, {tokens-file: t}]", "it fits everybody"},
    {"[{trust: name}]", "s.yaml:1: trust: \"name\" is none of address, certificate"},
    {"[{mount-point: '#'}]", "s.yaml:1: mount-point: "},
    {"[{url: x}]", "s.yaml:1: url: unknown key"},
    {"[]", "s.yaml:1: trunk-identities: has no entry, so nobody may come in"},
};

START_TEST(the_list_is_checked)
{
    struct sp_options o = {.upstream = {.items = NULL}};
    FILE *file = fopen("s.yaml", "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "trunk-identities: %s\n", lists[_i].entries);
    fclose(file);
    char *const argv[] = {(char *)"s-proxy", (char *)"-c", (char *)"s.yaml", NULL};
    int r = config_load(&sp_config, 3, argv, &o);
    if (r == 0)
        config_free(&sp_config, &o);
    ck_assert_int_eq(r == 0, lists[_i].wrong == NULL);
    if (lists[_i].wrong && !strstr(err_text(), lists[_i].wrong))
        ck_abort_msg("says: %s", err_text());
}
END_TEST

START_TEST(check_config_reads_the_files_of_tokens)
{
    struct sp_options o = {.upstream = {.items = NULL}};
    FILE *file = fopen("s.yaml", "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "trunk-identities:\n  - {tokens-file: /nowhere/tokens}\n");
    fclose(file);
    char *const argv[] = {(char *)"s-proxy", (char *)"-c", (char *)"s.yaml", (char *)"--check-config", NULL};
    ck_assert_int_lt(config_load(&sp_config, 4, argv, &o), 0);
    ck_assert_str_eq(err_text(), "s.yaml:2: trunk-identities: /nowhere/tokens: No such file or directory");
}
END_TEST

static Suite *sp_identity_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("sp_identity", &tc);
    tcase_add_unchecked_fixture(tc, enter_folder, leave_folder);
    tcase_add_test(tc, a_name_is_meant_in_full_or_in_its_beginning);
    tcase_add_test(tc, an_r_proxy_is_believed_what_its_entry_says);
    tcase_add_test(tc, without_a_list_all_is_believed_and_nobody_is_a_tenant);
    tcase_add_test(tc, an_entry_outlives_its_list);
    tcase_add_test(tc, a_list_with_a_bad_file_is_none);
    tcase_add_loop_test(tc, the_list_is_checked, 0, TEST_COUNT(lists));
    tcase_add_test(tc, check_config_reads_the_files_of_tokens);
    return suite;
}

TEST_MAIN(sp_identity_suite)
