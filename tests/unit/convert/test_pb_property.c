/* pb_property: the numbers of INTEROP's property list, and both directions of the table. */
#include "pb_property.h"

#include "test_main.h"

START_TEST(numbers_and_ids_are_each_others_inverse)
{
    unsigned count = 0;
    for (unsigned id = 0; id < 256; id++) {
        unsigned number = pb_property_number(id);
        ck_assert_int_eq(number != 0, mqtt_property_info(id)->type != MQTT_PROPERTY_TYPE_NONE);
        if (number != 0)
            ck_assert_uint_eq(pb_property_id(number), id);
        count += number != 0;
    }
    ck_assert_uint_eq(count, MQTT_PROPERTY_COUNT);
    ck_assert_uint_eq(pb_property_id(0), 0);
    ck_assert_uint_eq(pb_property_id(PB_PROPERTY_NUMBER_END), 0);
    ck_assert_uint_eq(pb_property_id(UINT32_MAX), 0);
}
END_TEST

START_TEST(what_mqtt_calls_a_byte_of_0_or_1_is_a_bool)
{
    unsigned count = 0;
    for (unsigned id = 0; id < 256; id++) {
        if (pb_property_is_bool(id)) {
            ck_assert_uint_eq(mqtt_property_info(id)->max, 1);
            count++;
        }
    }
    ck_assert_uint_eq(count, 7);
    ck_assert(!pb_property_is_bool(MQTT_PROPERTY_MAXIMUM_QOS)); /* 0 or 1 too, but a uint32 on the wire */
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("pb_property", &t);
    tcase_add_test(t, numbers_and_ids_are_each_others_inverse);
    tcase_add_test(t, what_mqtt_calls_a_byte_of_0_or_1_is_a_bool);
    return s;
}

TEST_MAIN(suite)
