/* trunk_zip: what is packed is unpacked, what does not compress stays out of it, and the peer may send anything. */
#include "trunk_zip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

enum {
    KIB = 1024,
    WINDOW_LOG = 17,
    MAX_BYTES = 256 * KIB,
    BATCH_BYTES = 16 * KIB,
    DEVICES = 100,
    SKIP_MAX = 64, /* messages in the clear before it is tried again; see trunk_zip.c */
};

static struct trunk_zip *zip;
static struct trunk_unzip *unzip;
static uint8_t message[2 * MAX_BYTES], packed[3 * MAX_BYTES];
static uint64_t random_state;

static void setup(void)
{
    random_state = 88172645463325252U;
    ck_assert_int_eq(trunk_zip_new(TRUNK_ZIP_LEVEL_DEFAULT, WINDOW_LOG, &zip), 0);
    ck_assert_int_eq(trunk_unzip_new(WINDOW_LOG, MAX_BYTES, &unzip), 0);
    ck_assert_uint_le(trunk_zip_bound(MAX_BYTES + 1), sizeof(packed));
}

static void teardown(void)
{
    zip = trunk_zip_free(zip);
    unzip = trunk_unzip_free(unzip);
}

static void use_level(int level, unsigned window_log)
{
    zip = trunk_zip_free(zip);
    ck_assert_int_eq(trunk_zip_new(level, window_log, &zip), 0);
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t fill_random(size_t len)
{
    for (size_t i = 0; i < len; i++)
        message[i] = (uint8_t)(next_random() >> 32);
    return len;
}

/* What N devices have to say, one after the other. */
static size_t fill_telemetry(int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len +=
            (size_t)snprintf((char *)message + len, sizeof(message) - len,
                             "{\"device\":\"sensor-%03d\",\"temperature\":%d.%02d,\"humidity\":%d,\"status\":\"ok\"}",
                             (int)(next_random() % DEVICES), (int)(next_random() % 40), (int)(next_random() % 100),
                             (int)(next_random() % 100));
    return len;
}

/* How long the message became; 0: it goes in the clear. */
static size_t pack(size_t len)
{
    int64_t became = trunk_zip_pack(zip, message, len, packed);
    ck_assert_msg(became >= 0, "%s", err_text());
    ck_assert_uint_le((size_t)became, trunk_zip_bound(len));
    return (size_t)became;
}

/* A block of just these bytes, so that a read past them is seen. */
static int unpack(size_t len, const uint8_t **ret, size_t *ret_len)
{
    uint8_t *block = malloc(len > 0 ? len : 1);
    memcpy(block, packed, len);
    int r = trunk_unzip_unpack(unzip, block, len, ret, ret_len);
    free(block);
    return r;
}

static void assert_unpacks(size_t packed_len, size_t len)
{
    const uint8_t *got = NULL;
    size_t got_len = 0;
    ck_assert_msg(unpack(packed_len, &got, &got_len) == 0, "%s", err_text());
    ck_assert_uint_eq(got_len, len);
    ck_assert_int_eq(memcmp(got, message, len), 0);
}

/* Through both ends if it compresses. Returns what it costs on the wire. */
static size_t pass(size_t len)
{
    size_t became = pack(len);
    if (became == 0)
        return len;
    assert_unpacks(became, len);
    return became;
}

static void assert_refused(size_t packed_len, int error, const char *text)
{
    const uint8_t *got = message;
    size_t got_len = 1;
    ck_assert_int_eq(unpack(packed_len, &got, &got_len), error);
    ck_assert_msg(strstr(err_text(), text), "%s", err_text());
    ck_assert(got == message && got_len == 1);
    ck_assert_int_eq(unpack(packed_len, &got, &got_len), error);
    ck_assert_str_eq(err_text(), "zstd: broken by an earlier part");
}

START_TEST(messages_come_out_as_they_went_in)
{
    static const int levels[] = {1, 2, 3, 5, 9, TRUNK_ZIP_LEVEL_MAX};
    use_level(levels[_i], WINDOW_LOG);
    size_t in = 0, out = 0;
    for (int i = 0; i < 500; i++) { /* many times the window */
        size_t len = fill_telemetry(1 + (int)(next_random() % 25));
        in += len;
        out += pass(len);
    }
    ck_assert_uint_lt(out * 3, in);
}
END_TEST

START_TEST(each_message_leans_on_those_before)
{
    size_t len = fill_telemetry(1);
    size_t first = pass(len);
    ck_assert_uint_lt(pass(len) * 3, first);
    /* and reaches as far back as the window does */
    fill_random(BATCH_BYTES);
    pass(BATCH_BYTES);
    random_state = 88172645463325252U;
    ck_assert_uint_eq(fill_telemetry(1), len);
    ck_assert_uint_lt(pass(len) * 2, first);
}
END_TEST

START_TEST(all_lengths_pass)
{
    static const size_t lens[] = {64,           65,       100,          4000,          16000,
                                  32 * KIB - 1, 32 * KIB, 32 * KIB + 1, MAX_BYTES - 1, MAX_BYTES};
    for (size_t i = 0; i < TEST_COUNT(lens); i++) {
        memset(message, 'a' + (int)i, lens[i]);
        ck_assert_uint_lt(pass(lens[i]), lens[i]);
    }
    /* and what becomes longer */
    size_t len = fill_random(MAX_BYTES);
    ck_assert_uint_ge(pass(len), len);
}
END_TEST

START_TEST(small_messages_go_in_the_clear)
{
    memset(message, 0, 64);
    for (size_t len = 0; len < 64; len++)
        ck_assert_uint_eq(pack(len), 0);
    ck_assert_uint_gt(pack(64), 0);
}
END_TEST

START_TEST(messages_in_the_clear_may_come_between)
{
    for (int i = 0; i < 200; i++) {
        size_t len = fill_telemetry(5);
        if (next_random() % 2) /* this one was sent in the clear: the stream knows nothing of it */
            continue;
        ck_assert_uint_lt(pass(len), len);
    }
}
END_TEST

START_TEST(random_bytes_cost_next_to_nothing)
{
    static const size_t lens[] = {64, 300, 4000, BATCH_BYTES};
    size_t len = lens[_i], in = 0, out = 0, in_stream = 0;
    while (in < 4U * KIB * KIB) {
        in += fill_random(len);
        size_t became = pack(len);
        if (became > 0)
            assert_unpacks(became, len);
        in_stream += became > 0 ? len : 0;
        out += became > 0 ? became : len;
    }
    ck_assert_uint_le(out * 1000, in * 1005);
    ck_assert_uint_lt(in_stream, in / 16); /* the time is saved too */
}
END_TEST

static void send_random(int messages)
{
    for (int i = 0; i < messages; i++)
        pass(fill_random(BATCH_BYTES));
}

START_TEST(what_compresses_again_is_noticed)
{
    send_random(1000);
    int tried = 0;
    while (tried <= SKIP_MAX && pack(fill_telemetry(20)) == 0)
        tried++;
    ck_assert_int_le(tried, SKIP_MAX);
}
END_TEST

START_TEST(after_it_compresses_again_all_is_packed)
{
    send_random(1000);
    for (int i = 0; i <= SKIP_MAX; i++)
        pass(fill_telemetry(20));
    for (int i = 0; i < 100; i++) {
        size_t len = fill_telemetry(20);
        ck_assert_uint_lt(pass(len), len / 2);
    }
}
END_TEST

START_TEST(a_minority_of_random_bytes_changes_nothing)
{
    for (int i = 0; i < 1000; i++) {
        if (i % 4 == 0)
            ck_assert_uint_gt(pack(fill_random(300)), 0);
        else
            ck_assert_uint_gt(pack(fill_telemetry(4)), 0);
    }
}
END_TEST

START_TEST(a_bomb_is_refused)
{
    memset(message, 0, MAX_BYTES + 1);
    assert_refused(pack(MAX_BYTES + 1), -EMSGSIZE, "become more than 262144");
}
END_TEST

START_TEST(a_bomb_costs_no_more_memory_than_a_message)
{
    enum { BOMB_BYTES = 64 * KIB * KIB };
    uint8_t *zeros = calloc(1, BOMB_BYTES), *bomb = malloc(trunk_zip_bound(BOMB_BYTES));
    int64_t became = trunk_zip_pack(zip, zeros, BOMB_BYTES, bomb);
    ck_assert(became > 0 && (size_t)became < sizeof(packed));
    memcpy(packed, bomb, (size_t)became);
    free(bomb);
    free(zeros);
    assert_refused((size_t)became, -EMSGSIZE, "become more than 262144");
}
END_TEST

START_TEST(small_limits_hold_too)
{
    unzip = trunk_unzip_free(unzip);
    ck_assert_int_eq(trunk_unzip_new(WINDOW_LOG, 100, &unzip), 0);
    memset(message, 'x', 101);
    pass(100);
    assert_refused(pack(101), -EMSGSIZE, "become more than 100");
}
END_TEST

START_TEST(a_larger_window_is_refused)
{
    use_level(TRUNK_ZIP_LEVEL_DEFAULT, WINDOW_LOG + 1);
    assert_refused(pack(fill_telemetry(1)), -EBADMSG, "zstd: Frame requires too much memory");
}
END_TEST

START_TEST(a_smaller_window_is_fine)
{
    use_level(TRUNK_ZIP_LEVEL_DEFAULT, TRUNK_ZIP_WINDOW_LOG_MIN);
    for (int i = 0; i < 50; i++) {
        size_t len = fill_telemetry(25);
        ck_assert_uint_lt(pass(len), len);
    }
}
END_TEST

/* Wherever it is cut, behind the frame's header too: what comes out must be all that went in. */
START_TEST(a_part_that_is_not_whole_is_refused)
{
    size_t first_len = fill_telemetry(3);
    size_t first = pack(first_len);
    uint8_t beginning[KIB];
    ck_assert_uint_le(first, sizeof(beginning));
    memcpy(beginning, packed, first);
    size_t second = pack(fill_telemetry(10));
    uint8_t rest[4 * KIB];
    ck_assert_uint_le(second, sizeof(rest));
    memcpy(rest, packed, second);
    for (size_t cut = 1; cut < second; cut++) {
        unzip = trunk_unzip_free(unzip);
        ck_assert_int_eq(trunk_unzip_new(WINDOW_LOG, MAX_BYTES, &unzip), 0);
        const uint8_t *got = NULL;
        size_t got_len = 0;
        memcpy(packed, beginning, first);
        ck_assert_int_eq(unpack(first, &got, &got_len), 0);
        memcpy(packed, rest, cut);
        assert_refused(cut, -EBADMSG, "a part that is not whole");
    }
}
END_TEST

START_TEST(a_first_part_that_is_not_whole_is_refused)
{
    enum { FRAME_HEADER_BYTES = 6 }; /* alone it is an empty part: nothing is missing of it */
    size_t len = pack(fill_telemetry(3));
    for (size_t cut = 0; cut < len; cut++) {
        if (cut == FRAME_HEADER_BYTES)
            continue;
        unzip = trunk_unzip_free(unzip);
        ck_assert_int_eq(trunk_unzip_new(WINDOW_LOG, MAX_BYTES, &unzip), 0);
        assert_refused(cut, -EBADMSG, "zstd: ");
    }
}
END_TEST

START_TEST(garbage_is_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } rows[] = {
        {"", 0, "this is not how a stream begins"},
        {"\x28\xb5\x2f", 3, "this is not how a stream begins"},
        {"not zstd at all, whatever it is", 31, "this is not how a stream begins"},
        {"\x50\x2a\x4d\x18\x04\x00\x00\x00skip", 12, "this is not how a stream begins"},       /* a frame to skip */
        {"\x27\xb5\x2f\xfd\x00\x58\x00\x00\x00\x00", 10, "this is not how a stream begins"},   /* zstd 0.7 */
        {"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello", 14, "the stream ends before the trunk"}, /* a whole file */
        {"\x28\xb5\x2f\xfd\x00\x38\x29\x00\x00hello", 14, "the stream ends before the trunk"}, /* a last block */
        {"\x28\xb5\x2f\xfd\x00\x38\x06\x00\x00hello", 14, "zstd: "},                           /* reserved block type */
        {"\x28\xb5\x2f\xfd\x01\x38\x07\x28\x00\x00hello", 15, "zstd: Dictionary mismatch"},    /* dictionary 7 */
        {"\x28\xb5\x2f\xfd\x08\x38\x28\x00\x00hello", 14, "zstd: Unsupported frame parameter"}, /* reserved bit */
        {"\x28\xb5\x2f\xfd\x00\x38\xfc\xff\xff"
         "aaaaaaaaaa",
         19, "zstd: "},                                                         /* a block of 2 MB */
        {"\x28\xb5\x2f\xfd\x00\x38\x24\x00\x00\xff\xff\xff\xff", 13, "zstd: "}, /* no such literals */
    };
    memcpy(packed, rows[_i].bytes, rows[_i].len);
    assert_refused(rows[_i].len, -EBADMSG, rows[_i].text);
}
END_TEST

/* Anything but a crash: zstd has no checksum here, so a wrong byte may go unnoticed. */
START_TEST(a_wrong_byte_does_no_harm)
{
    static uint8_t good[KIB];
    size_t len = pack(fill_telemetry(10));
    ck_assert_uint_le(len, sizeof(good));
    memcpy(good, packed, len);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            unzip = trunk_unzip_free(unzip);
            ck_assert_int_eq(trunk_unzip_new(WINDOW_LOG, MAX_BYTES, &unzip), 0);
            memcpy(packed, good, len);
            packed[i] ^= (uint8_t)(1U << bit);
            const uint8_t *got = NULL;
            size_t got_len = 0;
            int r = unpack(len, &got, &got_len);
            ck_assert(r == -EBADMSG || r == -EMSGSIZE || (r == 0 && got_len <= MAX_BYTES));
        }
    }
}
END_TEST

START_TEST(parameters_are_checked)
{
    struct trunk_zip *z = zip;
    struct trunk_unzip *u = unzip;
    ck_assert_int_eq(trunk_zip_new(0, WINDOW_LOG, &z), -EINVAL);
    ck_assert_str_eq(err_text(), "zstd level 0 is not between 1 and 19");
    ck_assert_int_eq(trunk_zip_new(TRUNK_ZIP_LEVEL_MAX + 1, WINDOW_LOG, &z), -EINVAL);
    ck_assert_int_eq(trunk_zip_new(1, TRUNK_ZIP_WINDOW_LOG_MIN - 1, &z), -EINVAL);
    ck_assert_str_eq(err_text(), "zstd window 2^9 is not between 2^10 and 2^27");
    ck_assert_int_eq(trunk_zip_new(1, TRUNK_ZIP_WINDOW_LOG_MAX + 1, &z), -EINVAL);
    ck_assert_int_eq(trunk_unzip_new(TRUNK_ZIP_WINDOW_LOG_MIN - 1, MAX_BYTES, &u), -EINVAL);
    ck_assert_int_eq(trunk_unzip_new(TRUNK_ZIP_WINDOW_LOG_MAX + 1, MAX_BYTES, &u), -EINVAL);
    ck_assert(z == zip && u == unzip);
    ck_assert_ptr_null(trunk_zip_free(NULL));
    ck_assert_ptr_null(trunk_unzip_free(NULL));
}
END_TEST

/* The sanitizers tell of each allocation; without them there is nobody to ask, and these tests find nothing. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier): that is its name, and gcc has no header for it */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *))
    __attribute__((weak));

static size_t allocations, allocated_bytes;

static void on_malloc(const volatile void *ptr, size_t size)
{
    allocations++;
    allocated_bytes += size;
}

static void on_free(const volatile void *ptr)
{
}

static void count_allocations(void)
{
    static bool is_installed;
    if (!is_installed && __sanitizer_install_malloc_and_free_hooks)
        is_installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
    allocations = allocated_bytes = 0;
}

START_TEST(nothing_is_allocated_for_a_message)
{
    const uint8_t *got = NULL;
    size_t got_len = 0;
    int passed = 0;
    pass(fill_telemetry(100));
    count_allocations(); /* and no ck_assert() from here on: it allocates */
    for (int i = 0; i < 200; i++) {
        size_t len = fill_telemetry(100);
        int64_t became = trunk_zip_pack(zip, message, len, packed);
        passed +=
            became > 0 && trunk_unzip_unpack(unzip, packed, (size_t)became, &got, &got_len) == 0 && got_len == len;
    }
    size_t count = allocations;
    ck_assert_int_eq(passed, 200);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(an_idle_trunk_costs_a_struct)
{
    trunk_zip_free(zip);
    trunk_unzip_free(unzip);
    count_allocations();
    int r = trunk_zip_new(TRUNK_ZIP_LEVEL_MAX, TRUNK_ZIP_WINDOW_LOG_MAX, &zip) |
            trunk_unzip_new(TRUNK_ZIP_WINDOW_LOG_MAX, MAX_BYTES, &unzip);
    size_t bytes = allocated_bytes;
    ck_assert_int_eq(r, 0);
    ck_assert_uint_le(bytes, 128);
}
END_TEST

START_TEST(memory_is_what_the_header_says)
{
    static const struct {
        int level;
        unsigned window_log;
    } rows[] = {{1, 17}, {2, 20}, {3, 20}, {9, 20}, {19, 20}, {3, 24}, {19, 24}};
    int level = rows[_i].level;
    unsigned window_log = rows[_i].window_log;
    size_t window = (size_t)1 << window_log;
    use_level(level, window_log);
    unzip = trunk_unzip_free(unzip);
    ck_assert_int_eq(trunk_unzip_new(window_log, MAX_BYTES, &unzip), 0);
    count_allocations();
    size_t became = pack(fill_telemetry(100));
    ck_assert_uint_le(allocated_bytes, level <= 2 ? window + KIB * KIB : window * 31 / 10 + 16 * KIB * KIB / 10);
    count_allocations();
    assert_unpacks(became, strlen((char *)message));
    ck_assert_uint_le(allocated_bytes, window + 512 * KIB + 32 * KIB + became);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("trunk_zip", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, messages_come_out_as_they_went_in, 0, 6);
    tcase_add_test(t, each_message_leans_on_those_before);
    tcase_add_test(t, all_lengths_pass);
    tcase_add_test(t, small_messages_go_in_the_clear);
    tcase_add_test(t, messages_in_the_clear_may_come_between);
    tcase_add_loop_test(t, random_bytes_cost_next_to_nothing, 0, 4);
    tcase_add_test(t, what_compresses_again_is_noticed);
    tcase_add_test(t, after_it_compresses_again_all_is_packed);
    tcase_add_test(t, a_minority_of_random_bytes_changes_nothing);
    tcase_add_test(t, a_bomb_is_refused);
    tcase_add_test(t, a_bomb_costs_no_more_memory_than_a_message);
    tcase_add_test(t, small_limits_hold_too);
    tcase_add_test(t, a_larger_window_is_refused);
    tcase_add_test(t, a_smaller_window_is_fine);
    tcase_add_test(t, a_part_that_is_not_whole_is_refused);
    tcase_add_test(t, a_first_part_that_is_not_whole_is_refused);
    tcase_add_loop_test(t, garbage_is_refused, 0, 12);
    tcase_add_test(t, a_wrong_byte_does_no_harm);
    tcase_add_test(t, parameters_are_checked);
    tcase_add_test(t, nothing_is_allocated_for_a_message);
    tcase_add_test(t, an_idle_trunk_costs_a_struct);
    tcase_add_loop_test(t, memory_is_what_the_header_says, 0, 7);
    return s;
}

TEST_MAIN(suite)
