/* WebSocket frames: RFC 6455's examples, each rule, any pieces, and that limits hold before memory is needed. */
#include "ws_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "test_main.h"

enum { LIMIT = 1000000 };

/* A frame as a peer sends it; at most 64 KB. */
struct stream {
    uint8_t bytes[300000];
    size_t len;
};

static void put(struct stream *s, const void *bytes, size_t n)
{
    if (n > sizeof(s->bytes) - s->len) /* no assertion for each of so many bytes */
        ck_abort_msg("the stream is full");
    memcpy(s->bytes + s->len, bytes, n);
    s->len += n;
}

static void put_u8(struct stream *s, unsigned value)
{
    const uint8_t byte = (uint8_t)value;
    put(s, &byte, 1);
}

static void put_head(struct stream *s, unsigned first, uint64_t len, bool has_mask)
{
    const unsigned mask = has_mask ? 0x80 : 0;
    int length_bytes = 0;
    put_u8(s, first);
    if (len < 126) {
        put_u8(s, mask | (unsigned)len);
    } else {
        length_bytes = len <= UINT16_MAX ? 2 : 8;
        put_u8(s, mask | (length_bytes == 2 ? 126 : 127));
    }
    while (length_bytes-- > 0)
        put_u8(s, (unsigned)(len >> (8 * length_bytes)) & 0xff);
}

static const uint8_t mask_key[4] = {0x37, 0xfa, 0x21, 0x3d};

static void put_frame(struct stream *s, unsigned first, const void *payload, size_t len, bool has_mask)
{
    const uint8_t *bytes = payload;
    put_head(s, first, len, has_mask);
    if (has_mask)
        put(s, mask_key, 4);
    for (size_t i = 0; i < len; i++)
        put_u8(s, bytes[i] ^ (has_mask ? mask_key[i % 4] : 0));
}

/* What a decoder made of a stream that came in pieces. */
struct outcome {
    int result;
    uint8_t payload[300000];
    size_t payload_len;
    uint8_t sent[4096];
    size_t sent_len;
};

static void decode(struct ws_frames *f, const struct stream *s, size_t piece, struct outcome *o)
{
    *o = (struct outcome){.result = WS_FRAMES_OK};
    for (size_t at = 0; at < s->len; at += piece) {
        const size_t n = s->len - at < piece ? s->len - at : piece;
        size_t len = 0;
        uint8_t *block = malloc(n); /* just these bytes, so that a read or write past them is seen */
        memcpy(block, s->bytes + at, n);
        o->result = ws_frames_decode(f, block, n, &len);
        ck_assert_uint_le(len, n);
        memcpy(o->payload + o->payload_len, block, len);
        o->payload_len += len;
        free(block);
        ck_assert_uint_le(o->sent_len + WS_DUE_MAX, sizeof(o->sent));
        ck_assert_int_eq(ws_frames_encode_due(f, o->sent + o->sent_len, &len), 0);
        o->sent_len += len;
    }
}

/* To a server. */
static void serve(const struct stream *s, struct outcome *o)
{
    struct ws_frames f;
    ws_frames_init(&f, true, LIMIT);
    decode(&f, s, s->len, o);
    ws_frames_deinit(&f);
}

static void assert_payload(const struct outcome *o, const void *expected, size_t len)
{
    ck_assert_uint_eq(o->payload_len, len);
    ck_assert_mem_eq(o->payload, expected, len);
}

static void assert_sent(const struct outcome *o, const void *expected, size_t len)
{
    ck_assert_uint_eq(o->sent_len, len);
    ck_assert_mem_eq(o->sent, expected, len);
}

/* --- RFC 6455 5.7, with binary frames where it has text */

START_TEST(the_examples_of_the_rfc_are_understood)
{
    static const uint8_t unmasked[] = {0x82, 0x05, 'H', 'e', 'l', 'l', 'o'};
    static const uint8_t masked[] = {0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    static const uint8_t fragments[] = {0x02, 0x03, 'H', 'e', 'l', 0x80, 0x02, 'l', 'o'};
    static const uint8_t ping[] = {0x89, 0x05, 'H', 'e', 'l', 'l', 'o'};
    static const struct {
        bool is_server;
        const uint8_t *bytes;
        size_t len;
    } cases[] = {
        {false, unmasked, sizeof(unmasked)},
        {true, masked, sizeof(masked)},
        {false, fragments, sizeof(fragments)},
    };
    struct ws_frames f;
    struct outcome *o = malloc(sizeof(*o));
    struct stream *s = calloc(1, sizeof(*s));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        ws_frames_init(&f, cases[i].is_server, LIMIT);
        s->len = 0;
        put(s, cases[i].bytes, cases[i].len);
        decode(&f, s, 1, o);
        ck_assert_int_eq(o->result, WS_FRAMES_OK);
        assert_payload(o, "Hello", 5);
        ws_frames_deinit(&f);
    }
    ws_frames_init(&f, false, LIMIT);
    s->len = 0;
    put(s, ping, sizeof(ping));
    decode(&f, s, s->len, o);
    ck_assert_uint_eq(o->payload_len, 0);
    ck_assert_uint_eq(o->sent_len, 2 + 4 + 5); /* a client's pong has a mask */
    ck_assert_uint_eq(o->sent[0], 0x8a);
    ck_assert_uint_eq(o->sent[1], 0x85);
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(o->sent[6 + i] ^ o->sent[2 + i % 4], ping[2 + i]);
    ws_frames_deinit(&f);
    free(s);
    free(o);
}
END_TEST

START_TEST(the_longer_examples_of_the_rfc_are_made)
{
    static uint8_t payload[65536], frame[65536 + WS_FRAME_HEADER_MAX];
    static const uint8_t head_256[] = {0x82, 0x7e, 0x01, 0x00};
    static const uint8_t head_64k[] = {0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0};
    const struct iovec iov = {payload, sizeof(payload)};
    struct ws_frames f;
    size_t len;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7);
    ws_frames_init(&f, true, LIMIT);
    ck_assert_int_eq(ws_frames_encode(&f, &iov, 256, frame, &len), 0);
    ck_assert_uint_eq(len, sizeof(head_256) + 256);
    ck_assert_mem_eq(frame, head_256, sizeof(head_256));
    ck_assert_mem_eq(frame + sizeof(head_256), payload, 256);
    ck_assert_int_eq(ws_frames_encode(&f, &iov, 65536, frame, &len), 0);
    ck_assert_uint_eq(len, sizeof(head_64k) + 65536);
    ck_assert_mem_eq(frame, head_64k, sizeof(head_64k));
    ck_assert_mem_eq(frame + sizeof(head_64k), payload, 65536);
    ws_frames_deinit(&f);
}
END_TEST

/* --- Streams */

/* A packet over several frames, several packets in a frame, a ping in the middle of a message, every length form. */
static void put_all_kinds(struct stream *s, bool has_large, uint8_t *payload, size_t *ret_len)
{
    static const struct {
        unsigned first;
        size_t len;
    } frames[] = {
        {0x82, 1},   {0x82, 125}, {0x82, 126}, {0x82, 65535}, {0x82, 65536}, {0x82, 0}, {0x02, 10},
        {0x89, 125}, {0x00, 0},   {0x8a, 3},   {0x00, 5000},  {0x80, 300},   {0x82, 7},
    };
    size_t n = 0;
    for (size_t i = 0; i < TEST_COUNT(frames); i++) {
        uint8_t bytes[65536];
        if (frames[i].len > 10000 && !has_large)
            continue;
        for (size_t k = 0; k < frames[i].len; k++)
            bytes[k] = (uint8_t)(n + k * 31 + i);
        put_frame(s, frames[i].first, bytes, frames[i].len, true);
        if (frames[i].first & 0x08)
            continue;
        memcpy(payload + n, bytes, frames[i].len);
        n += frames[i].len;
    }
    *ret_len = n;
}

START_TEST(a_stream_may_come_in_any_pieces)
{
    static const size_t pieces[] = {1, 2, 3, 5, 7, 13, 14, 15, 100, 4095, 4096, 4097, 65536, 1000000};
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    uint8_t *payload = malloc(300000);
    struct ws_frames f;
    size_t len;
    for (size_t i = 0; i < TEST_COUNT(pieces); i++) {
        s->len = 0;
        put_all_kinds(s, pieces[i] >= 100, payload, &len);
        ws_frames_init(&f, true, LIMIT);
        decode(&f, s, pieces[i], o);
        ck_assert_int_eq(o->result, WS_FRAMES_OK);
        assert_payload(o, payload, len);
        ck_assert_uint_eq(o->sent_len, 2 + 125);
        ck_assert_uint_eq(o->sent[0], 0x8a);
        ck_assert_ptr_null(f.wslay); /* nothing is held between frames */
        ws_frames_deinit(&f);
    }
    free(payload);
    free(o);
    free(s);
}
END_TEST

START_TEST(what_one_side_makes_the_other_understands)
{
    uint8_t payload[1000], frames[3000];
    struct ws_frames sender, receiver;
    size_t len = 0, n, got;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 13);
    const struct iovec iov[] = {{payload, 1}, {payload + 1, 0}, {payload + 1, 600}, {payload + 601, 399}};
    ws_frames_init(&sender, _i == 0, LIMIT);
    ws_frames_init(&receiver, _i != 0, LIMIT);
    ck_assert_int_eq(ws_frames_encode(&sender, iov, 601, frames, &len), 0);
    const struct iovec rest = {payload + 601, 399};
    ck_assert_int_eq(ws_frames_encode(&sender, &rest, 399, frames + len, &n), 0);
    ck_assert_int_eq(ws_frames_decode(&receiver, frames, len + n, &got), WS_FRAMES_OK);
    ck_assert_uint_eq(got, sizeof(payload));
    ck_assert_mem_eq(frames, payload, sizeof(payload));
    ws_frames_deinit(&sender);
    ws_frames_deinit(&receiver);
}
END_TEST

START_TEST(a_client_masks_each_frame_with_a_new_key)
{
    uint8_t payload[16] = {0}, frames[2][16 + WS_FRAME_HEADER_MAX];
    const struct iovec iov = {payload, sizeof(payload)};
    struct ws_frames f;
    size_t len;
    ws_frames_init(&f, false, LIMIT);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ws_frames_encode(&f, &iov, sizeof(payload), frames[i], &len), 0);
        ck_assert_uint_eq(len, 2 + 4 + 16);
        ck_assert_uint_eq(frames[i][1], 0x80 | 16);
    }
    ck_assert_int_ne(memcmp(frames[0] + 2, frames[1] + 2, 4), 0);
    ws_frames_deinit(&f);
}
END_TEST

START_TEST(frames_go_out_while_one_is_coming_in)
{
    uint8_t in[] = {0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, out[64];
    const struct iovec iov = {"answer", 6};
    struct ws_frames f;
    size_t len;
    ws_frames_init(&f, true, LIMIT);
    ck_assert_int_eq(ws_frames_decode(&f, in, 8, &len), WS_FRAMES_OK);
    ck_assert_uint_eq(len, 2);
    ck_assert_int_eq(ws_frames_encode(&f, &iov, 6, out, &len), 0);
    ck_assert_mem_eq(out,
                     "\x82\x06"
                     "answer",
                     len);
    ck_assert_int_eq(ws_frames_decode(&f, in + 8, 3, &len), WS_FRAMES_OK);
    ck_assert_mem_eq(in + 8, "llo", len);
    ws_frames_deinit(&f);
}
END_TEST

/* --- Control frames */

START_TEST(only_the_latest_of_many_pings_is_answered)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    for (int i = 0; i < 10000; i++)
        put_frame(s, 0x89, i < 9999 ? "early" : "late!", 5, true);
    serve(s, o);
    ck_assert_int_eq(o->result, WS_FRAMES_OK);
    assert_sent(o, "\x8a\x05late!", 7);
    free(o);
    free(s);
}
END_TEST

START_TEST(an_unasked_pong_means_nothing)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    put_frame(s, 0x89, "ping", 4, true);
    put_frame(s, 0x8a, "pong", 4, true);
    serve(s, o);
    ck_assert_int_eq(o->result, WS_FRAMES_OK);
    assert_sent(o, "\x8a\x04ping", 6);
    free(o);
    free(s);
}
END_TEST

static const struct {
    const char *payload;
    size_t len;
    uint16_t code;
    const char *answer;
    size_t answer_len;
} closes[] = {
    {"", 0, WS_CLOSE_NO_STATUS, "\x88\x00", 2},
    {"\x03\xe8", 2, 1000, "\x88\x02\x03\xe8", 4},
    {"\x03\xe9going away", 12, 1001, "\x88\x02\x03\xe9", 4},
    {"\x0f\xa0\xc3\xa9", 4, 4000, "\x88\x02\x0f\xa0", 4},
};

START_TEST(a_close_is_answered_with_its_code_and_is_the_last_word)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    size_t len = 7;
    ws_frames_init(&f, true, LIMIT);
    put_frame(s, 0x82, "before", 6, true);
    put_frame(s, 0x88, closes[_i].payload, closes[_i].len, true);
    put_frame(s, 0x82, "behind", 6, true);
    decode(&f, s, s->len, o);
    ck_assert_int_eq(o->result, WS_FRAMES_CLOSED);
    assert_payload(o, "before", 6);
    assert_sent(o, closes[_i].answer, closes[_i].answer_len);
    ck_assert_uint_eq(ws_frames_code(&f), closes[_i].code);
    ck_assert(ws_frames_is_close_sent(&f));
    ck_assert_int_eq(ws_frames_decode(&f, s->bytes, 5, &len), WS_FRAMES_CLOSED);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(ws_frames_encode_due(&f, o->sent, &len), 0);
    ck_assert_uint_eq(len, 0);
    ws_frames_deinit(&f);
    free(o);
    free(s);
}
END_TEST

START_TEST(the_answer_to_our_close_is_not_answered)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    size_t len;
    ws_frames_init(&f, true, LIMIT);
    ws_frames_close(&f, WS_CLOSE_GOING_AWAY);
    ws_frames_close(&f, WS_CLOSE_NORMAL);
    ck_assert_int_eq(ws_frames_encode_due(&f, o->sent, &len), 0);
    ck_assert_uint_eq(len, 4);
    ck_assert_mem_eq(o->sent, "\x88\x02\x03\xe9", 4);
    put_frame(s, 0x82, "late", 4, true);
    put_frame(s, 0x89, "ping", 4, true);
    put_frame(s, 0x88, "\x03\xe9", 2, true);
    decode(&f, s, s->len, o);
    ck_assert_int_eq(o->result, WS_FRAMES_CLOSED);
    assert_payload(o, "late", 4);
    ck_assert_uint_eq(o->sent_len, 0);
    ws_frames_deinit(&f);
    free(o);
    free(s);
}
END_TEST

/* --- What is refused */

#define MASKED "\x37\xfa\x21\x3d"

static const struct {
    uint16_t code;
    const char *bytes;
    size_t len;
} faults[] = {
    {1002, "\x82\x05Hello", 7}, /* no mask */
    {1002, "\x82\x00", 2},
    {1002, "\xc2\x81" MASKED "x", 7}, /* reserved bits */
    {1002, "\xa2\x81" MASKED "x", 7},
    {1002, "\x92\x81" MASKED "x", 7},
    {1002, "\x83\x81" MASKED "x", 7}, /* reserved opcodes */
    {1002, "\x87\x81" MASKED "x", 7},
    {1002, "\x8b\x81" MASKED "x", 7},
    {1002, "\x8f\x81" MASKED "x", 7},
    {1002, "\x09\x81" MASKED "x", 7},                     /* a fragmented ping */
    {1002, "\x89\xfe\x00\x7e" MASKED, 8},                 /* a ping of 126 bytes */
    {1002, "\x80\x81" MASKED "x", 7},                     /* a fragment of nothing */
    {1002, "\x02\x81" MASKED "x\x82\x81" MASKED "x", 14}, /* a message in a message */
    {1002, "\x82\xfe\x00\x7d" MASKED, 8},                 /* 125 in two bytes */
    {1002, "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" MASKED, 14},
    {1002, "\x88\x81" MASKED "x", 7}, /* half a close code */
    {1002,
     "\x88\x82"
     "\0\0\0\0"
     "\x03\xe7",
     8}, /* 999 */
    {1002,
     "\x88\x82"
     "\0\0\0\0"
     "\x03\xed",
     8}, /* 1005 */
    {1002,
     "\x88\x82"
     "\0\0\0\0"
     "\x13\x88",
     8},                                                  /* 5000 */
    {1003, "\x81\x85" MASKED "\x7f\x9f\x4d\x51\x58", 11}, /* text */
    {1003, "\x01\x80" MASKED, 6},
    {1007,
     "\x88\x84"
     "\0\0\0\0"
     "\x03\xe8\xff\xff",
     10},
    {1009, "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" MASKED "x", 15}, /* 2^63 */
    {1009, "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10},
    {1009, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" MASKED "x", 15},
    {1009, "\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00" MASKED "x", 15}, /* 1 GB, and nothing behind it */
    {1009, "\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00" MASKED, 14},
    {1009, "\x82\xff\x00\x00\x00\x00\x00\x0f\x42\x41" MASKED, 14}, /* one above the limit */
};

START_TEST(a_broken_rule_is_answered_with_its_code)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    size_t len;
    put_frame(s, 0x82, "before", 6, true);
    put(s, faults[_i].bytes, faults[_i].len);
    for (size_t piece = 1; piece <= s->len; piece++) {
        ws_frames_init(&f, true, LIMIT);
        decode(&f, s, piece, o);
        ck_assert_int_eq(o->result, WS_FRAMES_REFUSED);
        ck_assert_msg(ws_frames_code(&f) == faults[_i].code, "%d: %u %s", _i, ws_frames_code(&f), ws_frames_text(&f));
        ck_assert_mem_eq(o->payload, "before", 6);
        ck_assert_uint_eq(o->sent[0], 0x88);
        ck_assert_uint_eq(o->sent[1], o->sent_len - 2);
        ck_assert_uint_eq((unsigned)o->sent[2] << 8 | o->sent[3], faults[_i].code);
        ck_assert_mem_eq(o->sent + 4, ws_frames_text(&f), strlen(ws_frames_text(&f)));
        ck_assert_int_eq(ws_frames_decode(&f, s->bytes, 6, &len), WS_FRAMES_REFUSED);
        ck_assert_uint_eq(len, 0);
        ws_frames_deinit(&f);
    }
    free(o);
    free(s);
}
END_TEST

START_TEST(a_message_up_to_the_limit_passes)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    for (size_t too_much = 0; too_much < 2; too_much++) {
        ws_frames_init(&f, true, 10);
        s->len = 0;
        put_frame(s, 0x82, "0123456789", 10, true);
        put_frame(s, 0x02, "01234", 5, true);
        put_frame(s, 0x89, "0123456789abc", 13, true);
        put_frame(s, 0x80, "567890", 5 + too_much, true);
        decode(&f, s, s->len, o);
        ck_assert_int_eq(o->result, too_much ? WS_FRAMES_REFUSED : WS_FRAMES_OK);
        if (too_much)
            ck_assert_uint_eq(ws_frames_code(&f), WS_CLOSE_TOO_BIG);
        ck_assert_uint_eq(o->payload_len, too_much ? 15 : 20);
        ws_frames_deinit(&f);
    }
    free(o);
    free(s);
}
END_TEST

START_TEST(empty_fragments_come_to_an_end)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    ws_frames_init(&f, true, LIMIT);
    for (int message = 0; message < 2; message++) { /* each message counts for itself */
        put_frame(s, 0x02, "x", 1, true);
        for (int i = 0; i < WS_EMPTY_FRAMES_MAX - 1; i++)
            put_frame(s, 0x00, "", 0, true);
        put_frame(s, 0x80, "", 0, true);
    }
    decode(&f, s, s->len, o);
    ck_assert_int_eq(o->result, WS_FRAMES_OK);
    s->len = 0;
    put_frame(s, 0x02, "x", 1, true);
    for (int i = 0; i < WS_EMPTY_FRAMES_MAX + 1; i++)
        put_frame(s, 0x00, "", 0, true);
    decode(&f, s, s->len, o);
    ck_assert_int_eq(o->result, WS_FRAMES_REFUSED);
    ck_assert_uint_eq(ws_frames_code(&f), WS_CLOSE_TOO_BIG);
    ws_frames_deinit(&f);
    free(o);
    free(s);
}
END_TEST

START_TEST(a_client_wants_no_masks)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct outcome *o = malloc(sizeof(*o));
    struct ws_frames f;
    ws_frames_init(&f, false, LIMIT);
    put_frame(s, 0x82, "x", 1, true);
    decode(&f, s, s->len, o);
    ck_assert_int_eq(o->result, WS_FRAMES_REFUSED);
    ck_assert_uint_eq(ws_frames_code(&f), WS_CLOSE_PROTOCOL_ERROR);
    ws_frames_deinit(&f);
    free(o);
    free(s);
}
END_TEST

static Suite *ws_frames_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("ws_frames", &tc);
    tcase_add_test(tc, the_examples_of_the_rfc_are_understood);
    tcase_add_test(tc, the_longer_examples_of_the_rfc_are_made);
    tcase_add_test(tc, a_stream_may_come_in_any_pieces);
    tcase_add_loop_test(tc, what_one_side_makes_the_other_understands, 0, 2);
    tcase_add_test(tc, a_client_masks_each_frame_with_a_new_key);
    tcase_add_test(tc, frames_go_out_while_one_is_coming_in);
    tcase_add_test(tc, only_the_latest_of_many_pings_is_answered);
    tcase_add_test(tc, an_unasked_pong_means_nothing);
    tcase_add_loop_test(tc, a_close_is_answered_with_its_code_and_is_the_last_word, 0, TEST_COUNT(closes));
    tcase_add_test(tc, the_answer_to_our_close_is_not_answered);
    tcase_add_loop_test(tc, a_broken_rule_is_answered_with_its_code, 0, TEST_COUNT(faults));
    tcase_add_test(tc, a_message_up_to_the_limit_passes);
    tcase_add_test(tc, empty_fragments_come_to_an_end);
    tcase_add_test(tc, a_client_wants_no_masks);
    return suite;
}

TEST_MAIN(ws_frames_suite)
