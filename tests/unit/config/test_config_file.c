/* config_yaml: what a file may look like, and file, line and key in every message about a wrong one. */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "sample_program.h"
#include "test_main.h"

static struct sample_options o;

static int load_text(const char *text)
{
    sample_write_file("r-proxy.yaml", text);
    return SAMPLE_LOAD(&o, "-c", "r-proxy.yaml");
}

START_TEST(a_file_sets_every_kind)
{
    ck_assert_int_eq(load_text("# comment\n"
                               "connect-timeout: 5s\n"
                               "max-packet-size: 1M\n"
                               "receive-maximum: 7\n"
                               "upstream:\n"
                               "  - a://1\n"
                               "  - \"b://2\"\n"
                               "mqtt:\n"
                               "  url: x\n"
                               "password: 'p://w'\n"
                               "keep: false\n"
                               "allow-anonymous: no\n"
                               "tls: {cert: a.pem, ocsp: hard}\n"
                               "listen: m://1\n"),
                     0);
    const struct sample_listener *only = o.listeners.items;
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 5000);
    ck_assert_uint_eq(o.limits.max_packet_size, 1 << 20);
    ck_assert_int_eq(o.limits.receive_maximum, 7);
    ck_assert_uint_eq(o.upstream.count, 2);
    ck_assert_str_eq(o.upstream.items[1], "b://2");
    ck_assert_str_eq(o.mqtt_url, "x");
    ck_assert_str_eq(o.password, "p://w");
    ck_assert(!o.keep && !o.allow_anonymous);
    ck_assert_uint_eq(o.listeners.count, 1);
    ck_assert_str_eq(only->url, "m://1");
    ck_assert_str_eq(only->tls_cert, "a.pem");
    ck_assert_int_eq(only->tls_ocsp, 2);
    config_free(&sample_program, &o);
}
END_TEST

static const char *const harmless[] = {"", "# only a comment\n", "---\n", "{}\n", "--- {}\n...\n", "\n\n"};

START_TEST(an_empty_file_changes_nothing)
{
    ck_assert_int_eq(load_text(harmless[_i]), 0);
    ck_assert_uint_eq(o.limits.connect_timeout_ms, 10000);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(a_list_of_entries_becomes_an_array)
{
    ck_assert_int_eq(load_text("rooms:\n"
                               "  - {name: blue, guests: [a, b]}\n"
                               "  - name: red\n"
                               "    beds: 3\n"
                               "    guests: c\n"
                               "  - {}\n"),
                     0);
    const struct sample_room *rooms = o.rooms.items;
    ck_assert_uint_eq(o.rooms.count, 3);
    ck_assert_str_eq(rooms[0].name, "blue");
    ck_assert_int_eq(rooms[0].beds, 2);
    ck_assert_uint_eq(rooms[0].guests.count, 2);
    ck_assert_str_eq(rooms[0].guests.items[1], "b");
    ck_assert_int_eq(rooms[1].beds, 3);
    ck_assert_str_eq(rooms[1].guests.items[0], "c");
    ck_assert_ptr_null(rooms[2].name);
    ck_assert_uint_eq(rooms[2].guests.count, 0);
    config_free(&sample_program, &o);
    ck_assert_ptr_null(o.rooms.items);
}
END_TEST

START_TEST(an_entry_may_have_lists_of_entries)
{
    ck_assert_int_eq(load_text("rooms:\n"
                               "  - name: blue\n"
                               "    shelves:\n"
                               "      - {books: 3, label: old}\n"
                               "      - books: 4\n"
                               "    beds: 1\n"
                               "  - {name: red, shelves: [{books: 5}]}\n"),
                     0);
    const struct sample_room *rooms = o.rooms.items;
    const struct sample_shelf *blue = rooms[0].shelves.items, *red = rooms[1].shelves.items;
    ck_assert_uint_eq(rooms[0].shelves.count, 2);
    ck_assert_int_eq(blue[0].books, 3);
    ck_assert_str_eq(blue[0].label, "old");
    ck_assert_int_eq(blue[1].books, 4);
    ck_assert_ptr_null(blue[1].label);
    ck_assert_int_eq(rooms[0].beds, 1);
    ck_assert_uint_eq(rooms[1].shelves.count, 1);
    ck_assert_int_eq(red[0].books, 5);
    config_free(&sample_program, &o);
}
END_TEST

START_TEST(an_empty_list_replaces_the_default)
{
    ck_assert_int_eq(load_text("upstream: []\nlisten: []\n"), 0);
    ck_assert_uint_eq(o.upstream.count, 0);
    ck_assert_uint_eq(o.listeners.count, 0);
    config_free(&sample_program, &o);
}
END_TEST

static const struct {
    const char *text, *says;
} wrong_rows[] = {
    {"\n\n\n\n\n\nconnect-timeout: 10\n", "r-proxy.yaml:7: connect-timeout: \"10\" has no unit (ms, s, m, h)"},
    {"keep: true\nconect-timeout: 3s\n", "r-proxy.yaml:2: conect-timeout: unknown key; did you mean connect-timeout?"},
    {"qqqqqqqqqq: 1\n", "r-proxy.yaml:1: qqqqqqqqqq: unknown key"},
    {"mqtt:\n  uri: x\n", "r-proxy.yaml:2: mqtt-uri: unknown key; did you mean mqtt-url?"},
    {"keep: true\nkeep: false\n", "r-proxy.yaml:2: keep: is given twice (first in line 1)"},
    {"mqtt-url: x\nmqtt: {url: y}\n", "r-proxy.yaml:2: mqtt-url: is given twice (first in line 1)"},
    {"keep: [true]\n", "r-proxy.yaml:1: keep: takes one value, not a list"},
    {"keep: {a: b}\n", "r-proxy.yaml:1: keep: takes a value, not keys of its own"},
    {"upstream:\n - a://1\n - [b]\n", "r-proxy.yaml:3: upstream: has to be text or a number"},
    {"upstream:\n - a://1\n - here\n", "r-proxy.yaml:1: upstream: \"here\" is not a URL"},
    {"upstream:\n", "r-proxy.yaml:1: upstream: has no value"},
    {"keep: ~\n", "r-proxy.yaml:1: keep: has no value"},
    {"mqtt-url: \"a\\0b\"\n", "r-proxy.yaml:1: mqtt-url: contains a NUL character"},
    {"receive-maximum: 70000\n", "r-proxy.yaml:1: receive-maximum: 70000 is outside 0..65535"},
    {"password: tell-nobody\n", "r-proxy.yaml:1: password: the value is not valid"},
    {"- a\n- b\n", "r-proxy.yaml:1: not a list of"},
    {"[a]: b\n", "r-proxy.yaml:1: has to be text"},
    {"keep: true\n---\nkeep: false\n", "r-proxy.yaml:3: a second document"},
    {"keep: true\nlisten: [\n", "r-proxy.yaml:3: "},
    {"keep: true\n\tkeep: x\n", "r-proxy.yaml:2: "},
    {"keep: *nothing\n", "r-proxy.yaml:1: "},
    {"mqtt: &a\n  b: *a\n", "r-proxy.yaml:2: mqtt-b: unknown key"},
    {"\xff\n", "r-proxy.yaml: byte "},
    {"listeners: x\n", "r-proxy.yaml:1: listeners: has to be a list of entries"},
    {"listeners: [x]\n", "r-proxy.yaml:1: listeners: an entry has keys, at least url"},
    {"listeners:\n  - tls-cert: a\n", "r-proxy.yaml:2: listeners: this entry has no url"},
    {"listeners:\n  - url: a://1\n    keep: true\n", "r-proxy.yaml:3: keep: unknown key"},
    {"listeners:\n  - url: a://1\n    tls-cret: x\n", "r-proxy.yaml:3: tls-cret: unknown key; did you mean tls-cert?"},
    {"listeners:\n  - url: a://1\n    url: b://1\n", "r-proxy.yaml:3: url: is given twice (first in line 2)"},
    {"listeners:\n  - url: here\n", "r-proxy.yaml:2: url: \"here\" is not a URL"},
    {"listeners: [{url: 'a://1', listeners: []}]\n", "r-proxy.yaml:1: listeners: unknown key"},
    {"listeners: [{url: 'a://1'}]\nlisteners: []\n", "r-proxy.yaml:2: listeners: is given twice"},
    {"url: a://1\n", "r-proxy.yaml:1: url: unknown key"},
    {"listeners: []\nlisteners: []\n", "r-proxy.yaml:2: listeners: is given twice (first in line 1)"},
    {"rooms: x\n", "r-proxy.yaml:1: rooms: has to be a list of entries"},
    {"rooms:\n  - x\n", "r-proxy.yaml:2: rooms: an entry has keys"},
    {"rooms:\n  - name: x\n    bed: 1\n", "r-proxy.yaml:3: bed: unknown key; did you mean beds?"},
    {"rooms:\n  - {beds: 10}\n", "r-proxy.yaml:2: beds: 10 is outside 0..9"},
    {"rooms:\n  - {}\n  - {guests: [a, b, c]}\n", "r-proxy.yaml:3: rooms: 3 guests"},
    {"rooms:\n  - rooms: []\n", "r-proxy.yaml:2: rooms: unknown key"},
    {"shelves: []\n", "r-proxy.yaml:1: shelves: unknown key"},
    {"rooms:\n  - shelves: 1\n", "r-proxy.yaml:2: shelves: has to be a list of entries"},
    {"rooms:\n  - shelves:\n    - {bookz: 1}\n", "r-proxy.yaml:3: bookz: unknown key; did you mean books?"},
    {"rooms:\n  - shelves:\n    - {books: 1}\n    - {books: 0}\n", "r-proxy.yaml:4: shelves: an empty one"},
    {"rooms:\n  - shelves:\n    - {books: 1}\n    bed: 1\n", "r-proxy.yaml:4: bed: unknown key; did you mean beds?"},
    {"keep: true\nrooms: []\n", "r-proxy.yaml:2: rooms: a house without rooms"},
    {"beds: 1\n", "r-proxy.yaml:1: beds: unknown key"},
    {"mqtt-url: forbidden\n", "r-proxy.yaml:1: mqtt-url: does not go with anything"},
};

START_TEST(a_wrong_file_is_refused_by_file_line_and_key)
{
    ck_assert_int_lt(load_text(wrong_rows[_i].text), 0);
    if (strncmp(err_text(), wrong_rows[_i].says, strlen(wrong_rows[_i].says)) != 0)
        ck_abort_msg("says: %s\nnot: %s", err_text(), wrong_rows[_i].says);
    ck_assert_ptr_null(strstr(err_text(), "tell-nobody"));
}
END_TEST

START_TEST(a_mistake_in_the_file_counts_even_when_the_command_line_wins)
{
    sample_write_file("r-proxy.yaml", "connect-timeout: 10\n");
    ck_assert_int_eq(SAMPLE_LOAD(&o, "-c", "r-proxy.yaml", "--connect-timeout=3s"), -EINVAL);
}
END_TEST

static Suite *config_file_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("config_file", &tc);
    tcase_add_checked_fixture(tc, sample_setup, sample_teardown);
    tcase_add_test(tc, a_file_sets_every_kind);
    tcase_add_test(tc, a_list_of_entries_becomes_an_array);
    tcase_add_loop_test(tc, an_empty_file_changes_nothing, 0, TEST_COUNT(harmless));
    tcase_add_test(tc, an_entry_may_have_lists_of_entries);
    tcase_add_test(tc, an_empty_list_replaces_the_default);
    tcase_add_loop_test(tc, a_wrong_file_is_refused_by_file_line_and_key, 0, TEST_COUNT(wrong_rows));
    tcase_add_test(tc, a_mistake_in_the_file_counts_even_when_the_command_line_wins);
    return suite;
}

TEST_MAIN(config_file_suite)
