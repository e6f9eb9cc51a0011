/* front_client: what is left of the time until CONNECT, which keep-alive times are too long. */
#include "front_client.h"

#include "front_options.h"
#include "mqtt_packet.h"
#include "test_main.h"

START_TEST(a_header_may_have_taken_some_of_the_time)
{
    const struct front_options o = {.connect_timeout_ms = 500};
    ck_assert_uint_eq(front_connect_time_ms(&o, 1000, 1000), 500);
    ck_assert_uint_eq(front_connect_time_ms(&o, 1000, 1200), 300);
    ck_assert_uint_eq(front_connect_time_ms(&o, 1000, 1500), 0);
    ck_assert_uint_eq(front_connect_time_ms(&o, 1000, 9000), 0);
    ck_assert_uint_eq(front_connect_time_ms(&o, 1010, 1000), 500); /* another thread's clock */
}
END_TEST

START_TEST(old_clients_must_ask_for_a_keep_alive_time_that_will_do)
{
    static const struct {
        uint64_t max_ms;
        uint16_t asked_s;
        bool is_too_long; /* of 3.x; 5.0 is told */
    } rows[] = {
        {0, 0, false},     {0, 65535, false}, {90000, 90, false}, {90000, 91, true}, {90000, 0, true},
        {90000, 1, false}, {500, 1, false},   {1001, 2, false},   {1001, 3, true},   {65535000, 65535, false},
    };
    const struct front_options o = {.max_keep_alive_ms = rows[_i].max_ms};
    for (uint8_t version = MQTT_V31; version <= MQTT_V5; version++) {
        const struct mqtt_packet connect = {
            .type = MQTT_CONNECT, .version = version, .connect = {.keep_alive_s = rows[_i].asked_s}};
        ck_assert_int_eq(front_keep_alive_is_too_long(&o, &connect), rows[_i].is_too_long && version != MQTT_V5);
    }
}
END_TEST

static Suite *front_client_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("front_client", &tc);
    tcase_add_test(tc, a_header_may_have_taken_some_of_the_time);
    tcase_add_loop_test(tc, old_clients_must_ask_for_a_keep_alive_time_that_will_do, 0, 10);
    return suite;
}

TEST_MAIN(front_client_suite)
