/* list: order, and removing at any place and time. */
#include "list.h"

#include <string.h>

#include "test_main.h"

struct item {
    char name;
    struct list node;
};

static struct item items[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};

static void items_init(void)
{
    for (size_t i = 0; i < TEST_COUNT(items); i++)
        list_init(&items[i].node);
}

static void check_list(const struct list *head, const char *want)
{
    char got[16] = "", back[16] = "";
    size_t n = 0;
    list_for_each (it, head)
        got[n++] = list_entry(it, struct item, node)->name;
    for (const struct list *it = head->prev; it != head; it = it->prev)
        back[--n] = list_entry(it, const struct item, node)->name;
    ck_assert_str_eq(got, want);
    ck_assert_str_eq(back, want);
    ck_assert_int_eq(list_is_empty(head), *want == '\0');
}

START_TEST(elements_stay_where_they_are_put)
{
    static struct list head;
    list_init(&head);
    items_init();
    ck_assert_ptr_null(list_first(&head));
    list_add_tail(&head, &items[1].node);
    list_add_tail(&head, &items[2].node);
    list_add_head(&head, &items[0].node);
    check_list(&head, "abc");
    ck_assert_ptr_eq(list_first(&head), &items[0].node);
    list_move_tail(&head, &items[0].node);
    check_list(&head, "bca");
    ck_assert(list_is_linked(&items[2].node));
    list_del(&items[2].node);
    check_list(&head, "ba");
    ck_assert(!list_is_linked(&items[2].node));
    list_del(&items[2].node);
    check_list(&head, "ba");
}
END_TEST

START_TEST(splice_moves_all_in_order)
{
    static struct list head, from;
    list_init(&head);
    list_init(&from);
    items_init();
    list_splice_tail(&head, &from);
    check_list(&head, "");
    list_add_tail(&from, &items[2].node);
    list_add_tail(&from, &items[3].node);
    list_add_tail(&head, &items[0].node);
    list_splice_tail(&head, &from);
    check_list(&head, "acd");
    check_list(&from, "");
}
END_TEST

START_TEST(the_safe_walk_allows_removal)
{
    static struct list head;
    list_init(&head);
    items_init();
    for (size_t i = 0; i < TEST_COUNT(items); i++)
        list_add_tail(&head, &items[i].node);
    list_for_each_safe (it, tmp, &head) {
        if (list_entry(it, struct item, node)->name != 'c')
            list_del(it);
    }
    check_list(&head, "c");
}
END_TEST

static Suite *list_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("list", &tc);
    tcase_add_test(tc, elements_stay_where_they_are_put);
    tcase_add_test(tc, splice_moves_all_in_order);
    tcase_add_test(tc, the_safe_walk_allows_removal);
    return suite;
}

TEST_MAIN(list_suite)
