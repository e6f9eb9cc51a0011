/* front_admission: who may stay, who hears why not, and who is closed without a word. */
#include "front_admission.h"

#include <arpa/inet.h>
#include <errno.h>

#include "conn.h"
#include "front_options.h"
#include "log.h"
#include "mqtt_reason.h"
#include "test_main.h"

static struct front_admission admission;
static struct metrics_registry *registry;
static struct conn_parcel parcel;

static void no_log(void *arg, const char *line, size_t len)
{
    (void)arg, (void)line, (void)len;
}

static void set_up(void)
{
    log_set_sink(no_log, NULL);
    ck_assert_int_eq(metrics_registry_new(&registry), 0);
    parcel = (struct conn_parcel){.fd = -1, .peer.address.in.sin_family = AF_INET};
    ck_assert_int_eq(inet_pton(AF_INET, "10.0.0.1", &parcel.peer.address.in.sin_addr), 1);
}

static void tear_down(void)
{
    front_admission_deinit(&admission);
    metrics_registry_free(registry);
    log_set_sink(NULL, NULL);
}

static void start(int64_t max_connections, int64_t max_per_address, int64_t rate)
{
    const struct front_options options = {
        .max_connections = max_connections, .max_connections_per_address = max_per_address, .connect_rate = rate};
    admission = (struct front_admission){.registry = NULL};
    ck_assert_int_eq(front_admission_init(&admission, &options, registry, "test", 1000), 0);
}

START_TEST(who_is_one_too_many_hears_why)
{
    static const struct {
        int64_t max_connections, max_per_address, rate;
        uint8_t reason;
    } rows[] = {
        {1, 0, 0, MQTT_REASON_SERVER_BUSY},
        {0, 1, 0, MQTT_REASON_QUOTA_EXCEEDED},
        {0, 0, 1, MQTT_REASON_CONNECTION_RATE_EXCEEDED},
    };
    struct front_ticket first, second;
    start(rows[_i].max_connections, rows[_i].max_per_address, rows[_i].rate);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &first));
    ck_assert_ptr_null(first.refusal);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &second));
    ck_assert_uint_eq(second.refusal->reason, rows[_i].reason);
    ck_assert_int_eq(admission.metrics.connections_over_limit, _i == 0);
    ck_assert_int_eq(admission.metrics.connections_over_address_limit, _i == 1);
    ck_assert_int_eq(admission.metrics.connections_over_rate, _i == 2);
    front_ticket_return(&second);
    front_ticket_return(&first);
    front_ticket_return(&first); /* it is nothing any more */
    ck_assert(front_admission_ask(&admission, &parcel, 3000, &first));
    ck_assert_ptr_null(first.refusal);
    front_ticket_return(&first);
}
END_TEST

START_TEST(only_so_many_wait_to_hear_it)
{
    static struct front_ticket tickets[FRONT_REFUSALS_MAX];
    struct front_ticket first, other;
    start(1, 0, 0);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &first));
    for (int i = 0; i < FRONT_REFUSALS_MAX; i++)
        ck_assert(front_admission_ask(&admission, &parcel, 1000, &tickets[i]));
    ck_assert(!front_admission_ask(&admission, &parcel, 1000, &other));
    front_ticket_return(&tickets[0]);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &other));
    ck_assert_ptr_nonnull(other.refusal);
    front_ticket_return(&other);
    for (int i = 1; i < FRONT_REFUSALS_MAX; i++)
        front_ticket_return(&tickets[i]);
    front_ticket_return(&first);
}
END_TEST

START_TEST(whose_layers_would_cost_is_closed_without_a_word)
{
    struct front_ticket first, second;
    start(1, 0, 0);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &first));
    parcel.layer = (struct conn_layer *)&parcel; /* it is not looked at */
    ck_assert(!front_admission_ask(&admission, &parcel, 1000, &second));
    ck_assert_int_eq(admission.metrics.connections_over_limit, 1);
    front_ticket_return(&first);
    ck_assert(front_admission_ask(&admission, &parcel, 1000, &second));
    front_ticket_return(&second);
}
END_TEST

static Suite *front_admission_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("front_admission", &tc);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, who_is_one_too_many_hears_why, 0, 3);
    tcase_add_test(tc, only_so_many_wait_to_hear_it);
    tcase_add_test(tc, whose_layers_would_cost_is_closed_without_a_word);
    return suite;
}

TEST_MAIN(front_admission_suite)
