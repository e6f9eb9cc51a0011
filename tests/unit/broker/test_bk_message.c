/* bk_message: what goes out, as the codec would write it; what lasts; time. */
#include "bk_message.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "mqtt_encode.h"
#include "mqtt_property.h"
#include "test_main.h"

enum { NOW = 1000000 };

static struct mqtt_bytes bytes(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct mqtt_packet packet_of(const struct bk_publication *p, bool is_v5, uint16_t id)
{
    return (struct mqtt_packet){
        .type = MQTT_PUBLISH,
        .version = is_v5 ? MQTT_V5 : MQTT_V311,
        .packet_id = id,
        .properties = is_v5 ? p->properties : (struct mqtt_properties){{NULL, 0}},
        .publish = {.topic = p->topic, .payload = p->payload, .qos = id ? 1 : 0},
    };
}

/* A form with its id and first byte set is what the encoder makes. */
static void assert_form(struct bk_publication *p, bool is_v5, uint16_t id)
{
    const struct mqtt_packet packet = packet_of(p, is_v5, id);
    const size_t size = mqtt_encode_size(&packet);
    uint8_t *expected = malloc(size), *got = malloc(size);
    mqtt_encode(&packet, expected);
    const struct bk_form *form = bk_publication_form(p, is_v5, id != 0);
    ck_assert_ptr_nonnull(form);
    ck_assert_uint_eq(form->total, size);
    memcpy(got, form->bytes, form->len);
    if (form->len < form->total)
        memcpy(got + form->len, buf_bytes(p->rest), form->total - form->len);
    got[0] = expected[0];
    if (id) {
        got[form->id_at] = (uint8_t)(id >> 8);
        got[form->id_at + 1] = (uint8_t)id;
    }
    ck_assert_int_eq(memcmp(expected, got, size), 0);
    free(expected);
    free(got);
}

static const uint32_t payload_sizes[] = {0, 1, 100, 127, 128, 1023, 1024, 1025, 16384, 70000};

START_TEST(forms_are_what_the_encoder_writes)
{
    struct bk_scratch scratch = {0};
    struct bk_publication p;
    uint8_t properties[64];
    char *payload = calloc(1, payload_sizes[_i] + 1);
    memset(payload, 'x', payload_sizes[_i]);
    bk_publication_init(&p, &scratch);
    p.topic = bytes("site/1/temperature");
    p.payload = bytes(payload);
    const uint8_t *end = mqtt_property_put_pair(properties, MQTT_PROPERTY_USER_PROPERTY, bytes("k"), bytes("v"));
    p.properties.wire = (struct mqtt_bytes){properties, (uint32_t)(end - properties)};
    for (int again = 0; again < 2; again++) {
        assert_form(&p, false, 0);
        assert_form(&p, false, 0x1234);
        assert_form(&p, true, 0);
        assert_form(&p, true, 0xFFFF);
    }
    bk_publication_end(&p);
    bk_scratch_deinit(&scratch);
    free(payload);
}
END_TEST

START_TEST(what_is_kept_is_what_was_published)
{
    struct bk_scratch scratch = {0};
    struct bk_publication p, again;
    uint8_t properties[64];
    char *payload = calloc(1, payload_sizes[_i] + 1);
    memset(payload, 'y', payload_sizes[_i]);
    bk_publication_init(&p, &scratch);
    p.topic = bytes("t");
    p.payload = bytes(payload);
    uint8_t *end = mqtt_property_put_u32(properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 10);
    end = mqtt_property_put_bytes(end, MQTT_PROPERTY_CONTENT_TYPE, bytes("text"));
    p.properties.wire = (struct mqtt_bytes){properties, (uint32_t)(end - properties)};
    p.expires_ms = NOW + 10000;
    p.qos = 2;
    struct bk_message *m = bk_publication_keep(&p);
    ck_assert_ptr_eq(bk_publication_keep(&p), m);
    bk_message_ref(m);
    bk_publication_end(&p);
    free(payload);

    ck_assert(bk_publication_of(&again, m, NOW + 3500, &scratch));
    ck_assert_uint_eq(again.payload.len, payload_sizes[_i]);
    for (uint32_t i = 0; i < again.payload.len; i++)
        ck_assert_uint_eq(again.payload.ptr[i], 'y');
    ck_assert_uint_eq(again.qos, 2);
    ck_assert_uint_eq(mqtt_property_number(&again.properties, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 0), 7);
    ck_assert(mqtt_property_has(&again.properties, MQTT_PROPERTY_CONTENT_TYPE));
    bk_publication_end(&again);

    ck_assert(!bk_message_is_expired(m, NOW + 9999));
    ck_assert(bk_message_is_expired(m, NOW + 10000));
    ck_assert(!bk_publication_of(&again, m, NOW + 10000, &scratch));

    struct bk_message *copy = bk_message_copy(m);
    ck_assert_uint_eq(copy->refs, 1);
    ck_assert_uint_eq(bk_message_bytes(copy), bk_message_bytes(m));
    bk_message_unref(m);
    ck_assert(bk_publication_of(&again, copy, NOW, &scratch));
    ck_assert_uint_eq(again.payload.len, payload_sizes[_i]);
    bk_publication_end(&again);
    bk_message_unref(copy);
    bk_scratch_deinit(&scratch);
}
END_TEST

static Suite *bk_message_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_message", &tcase);
    tcase_add_loop_test(tcase, forms_are_what_the_encoder_writes, 0, TEST_COUNT(payload_sizes));
    tcase_add_loop_test(tcase, what_is_kept_is_what_was_published, 0, TEST_COUNT(payload_sizes));
    return suite;
}

TEST_MAIN(bk_message_suite)
