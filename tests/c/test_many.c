/*
 * Many keys at once, on both back ends: bulk reads, lists that go backwards, between bounds and with values, counts,
 * and removals.
 */
#define _GNU_SOURCE /* clock.h */
#include "backends.h"
#include "clock.h"
#include "process.h"

/* A page's keys, each followed by '=' and its value, if there is one, and a space. Frees the page. */
static const char *shown(luat_kv_page *page)
{
    static char text[4096];
    size_t end = 0;
    text[0] = '\0';
    for (size_t at = 0; at < luat_kv_page_len(page) && end < sizeof text; at++) {
        const luat_kv_entry *entry = luat_kv_page_at(page, at);
        size_t key_len = 0, len = 0;
        const uint8_t *key = luat_kv_entry_key(entry, &key_len), *value = luat_kv_entry_value(entry, &len);
        end += (size_t)snprintf(text + end, sizeof text - end, "%.*s%s%.*s ", (int)key_len, (const char *)key,
                                value ? "=" : "", (int)len, value ? (const char *)value : "");
    }
    luat_kv_page_free(page);
    return text;
}

#define CHECK_SHOWN(page, expected) \
    do { \
        const char *shown_ = shown(page); \
        CHECK_BYTES((const uint8_t *)shown_, strlen(shown_), expected); \
    } while (0)

#define BYTES_OF(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* ---- Bulk reads */

static luat_kv_page *get_many(luat_kv_namespace *ns, const luat_kv_bytes *keys, size_t count)
{
    luat_kv_page *page = GARBAGE;
    CHECK_STATUS(luat_kv_get_many(ns, keys, count, &page, &error), LUAT_KV_OK);
    return page;
}

static void what_is_there_comes_once_and_in_order(void)
{
    static const luat_kv_bytes keys[] = {
        BYTES_OF("c"), BYTES_OF("missing"), BYTES_OF("a"), BYTES_OF("c"), BYTES_OF("a\0b"), BYTES_OF("B"),
    };
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("[1]") };
    CHECK_PUT(kv.ns, "a", "1");
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("a\0b"), LUAT_KV_TEXT("2\0\xff"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "B", "");
    CHECK_PUT(kv.ns, "c", "4");
    CHECK_PUT(kv.ns, "d", "not asked for");
    luat_kv_page *page = get_many(kv.ns, keys, sizeof keys / sizeof *keys);
    CHECK(luat_kv_page_len(page) == 4);
    CHECK_NO_VIEW(luat_kv_page_cursor, page);
    const luat_kv_entry *full = luat_kv_page_at(page, 2);
    CHECK_VIEW(luat_kv_entry_key, full, "a\0b");
    CHECK_VIEW(luat_kv_entry_value, full, "2\0\xff");
    CHECK_VIEW(luat_kv_entry_metadata, full, "[1]");
    CHECK(luat_kv_entry_expiration(full) == 4000000000);
    CHECK_VIEW(luat_kv_entry_value, luat_kv_page_at(page, 0), "");
    luat_kv_entry *single = kv_entry(kv.ns, "c");
    CHECK(kv_same_version(single, luat_kv_page_at(page, 3)));
    CHECK(!kv_same_version(single, full));
    luat_kv_entry_free(single);
    luat_kv_page_free(page);
    CHECK_SHOWN(get_many(kv.ns, keys, 1), "c=4 ");
    CHECK_SHOWN(get_many(kv.ns, keys + 1, 1), "");
    kv_close(kv);
}

static void a_bulk_read_has_limits(void)
{
    enum { MOST = 10000 };
    struct kv kv = open_default();
    luat_kv_page *page = GARBAGE;
    luat_kv_bytes *keys = calloc(MOST + 1, sizeof *keys);
    char(*texts)[8] = calloc(MOST + 1, sizeof *texts);
    for (int at = 0; at <= MOST; at++) {
        snprintf(texts[at], sizeof *texts, "k%d", at);
        keys[at] = (luat_kv_bytes){ TEXT(texts[at]) };
    }
    kv_put_numbers(kv.ns, "k", 200);
    page = get_many(kv.ns, keys, MOST);
    CHECK(luat_kv_page_len(page) == 200);
    luat_kv_page_free(page);
    page = GARBAGE;
    CHECK_REFUSED(luat_kv_get_many(kv.ns, keys, MOST + 1, &page, &error), LUAT_KV_LIMIT, "10001");
    CHECK(page == NULL);
    kv_close(kv);

    kv = open_cloudflare();
    luat_kv_page_free(get_many(kv.ns, keys, 100));
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, 101, &page, &error), LUAT_KV_LIMIT);
    kv_close(kv);
    free(texts);
    free(keys);
}

static void a_bulk_read_needs_its_arguments(void)
{
    luat_kv_bytes keys[] = { BYTES_OF("a"), { NULL, 1 } };
    struct kv kv = open_default();
    luat_kv_page *page = GARBAGE;
    CHECK_STATUS(luat_kv_get_many(NULL, keys, 1, &page, &error), LUAT_KV_INVALID);
    CHECK(page == NULL);
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, NULL, 0, &page, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, 0, &page, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, NULL, 1, &page, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, SIZE_MAX, &page, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, (size_t)PTRDIFF_MAX / sizeof *keys + 1, &page, &error),
                 LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, 2, &page, &error), LUAT_KV_INVALID);
    keys[1].len = 0;
    CHECK_REFUSED(luat_kv_get_many(kv.ns, keys, 2, &page, &error), LUAT_KV_INVALID, "empty");
    keys[1] = (luat_kv_bytes){ LUAT_KV_TEXT("\xff") };
    CHECK_STATUS(luat_kv_get_many(kv.ns, keys, 2, &page, NULL), LUAT_KV_INVALID);
    CHECK(page == NULL);
    kv_close(kv);
}

/* ---- Lists */

static luat_kv_page *list(luat_kv_namespace *ns, const luat_kv_list_options *options)
{
    luat_kv_page *page = NULL;
    CHECK_STATUS(luat_kv_list(ns, options, &page, &error), LUAT_KV_OK);
    return page;
}

static luat_kv_list_options between(const char *start, const char *stop, uint32_t flags)
{
    luat_kv_list_options options = kv_list_options("", 0);
    options.start = (luat_kv_bytes){ TEXT(start) };
    options.stop = (luat_kv_bytes){ TEXT(stop) };
    options.flags = flags;
    return options;
}

static void a_list_goes_backwards(void)
{
    struct kv kv = open_default();
    luat_kv_list_options options = kv_list_options("k", 4);
    kv_put_numbers(kv.ns, "k", 10);
    kv_put_numbers(kv.ns, "other", 2);
    options.flags = LUAT_KV_LIST_REVERSE;
    luat_kv_page *first = list(kv.ns, &options), *second, *third;
    options.cursor.data = luat_kv_page_cursor(first, &options.cursor.len);
    second = list(kv.ns, &options);
    options.cursor.data = luat_kv_page_cursor(second, &options.cursor.len);
    third = list(kv.ns, &options);
    CHECK(luat_kv_page_cursor(third, NULL) == NULL);
    CHECK_SHOWN(first, "k9 k8 k7 k6 ");
    CHECK_SHOWN(second, "k5 k4 k3 k2 ");
    CHECK_SHOWN(third, "k1 k0 ");
    kv_close(kv);
}

static void bounds_are_in_byte_order_either_way(void)
{
    static const struct {
        const char *start, *stop, *forward, *reverse;
    } cases[] = {
        { "", "", "a b b1 c ", "c b1 b a " }, { "b", "", "b b1 c ", "c b1 b " }, { "b", "c", "b b1 ", "b1 b " },
        { "", "b", "a ", "a " }, { "aa", "b0", "b ", "b " }, { "c", "b", "", "" }, { "b", "b", "", "" },
        { "d", "", "", "" }, { "\U0010ffff", "", "", "" },
    };
    static const char *const keys[] = { "c", "a", "b1", "b", NULL };
    struct kv kv = open_default();
    for (const char *const *key = keys; *key; key++)
        CHECK_STATUS(kv_put(kv.ns, *key, "", &error), LUAT_KV_OK);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        for (uint32_t flags = 0; flags <= LUAT_KV_LIST_REVERSE; flags++) {
            luat_kv_list_options options = between(cases[at].start, cases[at].stop, flags);
            const char *listed = shown(list(kv.ns, &options));
            if (strcmp(listed, flags ? cases[at].reverse : cases[at].forward) != 0)
                check_fail(__FILE__, __LINE__, "%s to %s, %u: %s", cases[at].start, cases[at].stop, flags, listed);
        }
    }
    luat_kv_list_options options = between("b1", "", 0); /* and a prefix narrows them */
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("b") };
    CHECK_SHOWN(list(kv.ns, &options), "b1 ");
    options = between("", "b1", LUAT_KV_LIST_REVERSE);
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("b") };
    CHECK_SHOWN(list(kv.ns, &options), "b ");
    kv_close(kv);
}

static void bounds_hold_on_every_page(void)
{
    struct kv kv = open_default();
    kv_put_numbers(kv.ns, "k", 10);
    for (uint32_t flags = 0; flags <= LUAT_KV_LIST_REVERSE; flags++) {
        luat_kv_list_options options = between("k2", "k7", flags);
        options.limit = 2;
        luat_kv_page *page = list(kv.ns, &options), *next;
        options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
        next = list(kv.ns, &options);
        luat_kv_page_free(page);
        options.cursor.data = luat_kv_page_cursor(next, &options.cursor.len);
        page = list(kv.ns, &options);
        CHECK(luat_kv_page_cursor(page, NULL) == NULL);
        luat_kv_page_free(next);
        const char *listed = shown(page);
        CHECK(strcmp(listed, flags ? "k2 " : "k6 ") == 0);
    }
    kv_close(kv);
}

static void a_list_has_values_where_they_are_wanted(void)
{
    struct kv kv = open_default();
    luat_kv_list_options options = kv_list_options("", 0);
    CHECK_PUT(kv.ns, "a", "1");
    CHECK_PUT(kv.ns, "b", "");
    CHECK_SHOWN(list(kv.ns, &options), "a b ");
    options.flags = LUAT_KV_LIST_VALUES;
    CHECK_SHOWN(list(kv.ns, &options), "a=1 b= ");
    options.flags = LUAT_KV_LIST_VALUES | LUAT_KV_LIST_REVERSE;
    CHECK_SHOWN(list(kv.ns, &options), "b= a=1 ");
    options.flags = 0;
    luat_kv_page *page = list(kv.ns, &options);
    luat_kv_entry *a = kv_entry(kv.ns, "a"), *b = kv_entry(kv.ns, "b");
    CHECK(kv_same_version(luat_kv_page_at(page, 0), a) && kv_same_version(luat_kv_page_at(page, 1), b));
    CHECK(!kv_same_version(a, b));
    luat_kv_page_free(page);
    luat_kv_entry_free(a);
    luat_kv_entry_free(b);
    kv_close(kv);
}

static void a_page_of_values_ends_at_16_mib(void)
{
    enum { LEN = 3 << 20, KEYS = 12 };
    struct kv kv = open_default();
    luat_kv_list_options options = kv_list_options("", 0);
    uint8_t *value = malloc(LEN);
    char key[] = "a";
    memset(value, 'v', LEN);
    for (; *key < 'a' + KEYS; ++*key)
        CHECK_STATUS(luat_kv_put(kv.ns, TEXT(key), value, LEN, NULL, &error), LUAT_KV_OK);
    free(value);
    options.flags = LUAT_KV_LIST_VALUES;
    size_t seen = 0, pages = 0;
    luat_kv_page *page = NULL;
    do {
        luat_kv_page *previous = page;
        page = list(kv.ns, &options);
        luat_kv_page_free(previous);
        for (size_t at = 0, len; at < luat_kv_page_len(page); at++)
            seen += luat_kv_entry_value(luat_kv_page_at(page, at), &len) && len == LEN;
        CHECK(luat_kv_page_len(page) == 6); /* 15 MiB are not 16 */
        pages++;
        options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
    } while (options.cursor.data);
    luat_kv_page_free(page);
    CHECK(seen == KEYS && pages == 2);
    options = kv_list_options("", 0); /* without values they are one page */
    page = list(kv.ns, &options);
    CHECK(luat_kv_page_len(page) == KEYS && luat_kv_page_cursor(page, NULL) == NULL);
    luat_kv_page_free(page);
    kv_close(kv);
}

static void a_cursor_goes_with_its_list_only(void)
{
    struct kv kv = open_default();
    luat_kv_page *page = NULL, *first;
    kv_put_numbers(kv.ns, "k", 5);
    luat_kv_list_options options = kv_list_options("k", 2);
    first = list(kv.ns, &options);
    options.cursor.data = luat_kv_page_cursor(first, &options.cursor.len);
    options.flags = LUAT_KV_LIST_REVERSE;
    page = GARBAGE;
    CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID, "direction");
    CHECK(page == NULL);
    options.flags = 0;
    options.prefix.len = 0;
    CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID, "prefix");
    options.prefix.len = 1;
    options.flags = LUAT_KV_LIST_VALUES; /* of values and bounds it knows nothing */
    options.limit = 1;
    options.start = (luat_kv_bytes){ LUAT_KV_TEXT("k3") };
    CHECK_SHOWN(list(kv.ns, &options), "k3=k3 ");
    luat_kv_page_free(first);
    kv_close(kv);
}

static void what_a_list_is_told_is_checked(void)
{
    static const luat_kv_bytes bad[] = { { NULL, 1 }, BYTES_OF("\xff"), { (const uint8_t *)"x", SIZE_MAX } };
    struct kv kv = open_default();
    luat_kv_page *page = GARBAGE;
    luat_kv_list_options options = kv_list_options("", 0);
    char key[4098];
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++) {
        options = kv_list_options("", 0);
        options.start = bad[at];
        CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID, "start");
        options = kv_list_options("", 0);
        options.stop = bad[at];
        CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID, "stop");
    }
    CHECK(page == NULL);
    memset(key, 'k', sizeof key);
    options = kv_list_options("", 0);
    options.start = (luat_kv_bytes){ (uint8_t *)key, 4097 };
    CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_LIMIT, "start");
    options.start = (luat_kv_bytes){ NULL, 0 };
    for (uint32_t flag = 4; flag; flag <<= 1) {
        options.flags = flag | LUAT_KV_LIST_REVERSE;
        CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID, "flags");
    }
    kv_close(kv);
}

/* ---- Counts and removals */

#define CHECK_COUNT(ns, prefix, expected) \
    do { \
        uint64_t count_ = 7; \
        CHECK_STATUS(luat_kv_count(ns, LUAT_KV_TEXT(prefix), &count_, &error), LUAT_KV_OK); \
        CHECK(count_ == (expected)); \
    } while (0)

static void keys_are_counted_by_prefix(void)
{
    struct kv kv = open_default();
    uint64_t count = 7;
    kv_put_numbers(kv.ns, "a", 20);
    kv_put_numbers(kv.ns, "b%", 3);
    CHECK_COUNT(kv.ns, "", 23);
    CHECK_COUNT(kv.ns, "a", 20);
    CHECK_COUNT(kv.ns, "a1", 11);
    CHECK_COUNT(kv.ns, "%", 0);
    CHECK_STATUS(luat_kv_count(kv.ns, NULL, 0, &count, &error), LUAT_KV_OK);
    CHECK(count == 23);
    CHECK_STATUS(luat_kv_count(kv.ns, NULL, 0, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_count(NULL, LUAT_KV_TEXT("a"), &count, &error), LUAT_KV_INVALID);
    CHECK(count == 0);
    CHECK_STATUS(luat_kv_count(kv.ns, NULL, 1, &count, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_count(kv.ns, LUAT_KV_TEXT("\xff"), &count, NULL), LUAT_KV_INVALID);
    kv_close(kv);
}

static void keys_are_removed_by_prefix(void)
{
    struct kv kv = open_default();
    luat_kv_namespace *other = NULL;
    uint64_t removed = 7;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("other"), &other, &error), LUAT_KV_OK);
    CHECK_PUT(other, "a1", "stays");
    kv_put_numbers(kv.ns, "a", 3000);
    kv_put_numbers(kv.ns, "b", 10);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("a"), &removed, &error), LUAT_KV_OK);
    CHECK(removed == 3000);
    CHECK_COUNT(kv.ns, "a", 0);
    kv_check_numbers(kv.ns, "b", 10);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("a"), &removed, &error), LUAT_KV_OK);
    CHECK(removed == 0);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("b9"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_clear(kv.ns, &removed, &error), LUAT_KV_OK);
    CHECK(removed == 9);
    CHECK_COUNT(kv.ns, "", 0);
    CHECK_STATUS(luat_kv_clear(kv.ns, NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(other, "a1", "stays");
    luat_kv_namespace_free(other);
    kv_close(kv);
}

static void an_empty_prefix_removes_nothing(void)
{
    struct kv kv = open_default();
    uint64_t removed = 7;
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_REFUSED(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT(""), &removed, &error), LUAT_KV_INVALID,
                  "to remove all keys, clear the namespace");
    CHECK(removed == 0);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, NULL, 0, &removed, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, NULL, 1, &removed, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("\xff"), &removed, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete_prefix(NULL, LUAT_KV_TEXT("k"), &removed, &error), LUAT_KV_INVALID);
    removed = 7;
    CHECK_STATUS(luat_kv_clear(NULL, &removed, &error), LUAT_KV_INVALID);
    CHECK(removed == 0);
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

static void what_has_expired_is_not_counted(void)
{
    struct kv kv = open_default();
    uint64_t removed = 7;
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 1;
    kv_put_numbers(kv.ns, "k", 3);
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("k4"), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_OK);
    clock_advance(3); /* a lifetime of a second is over within two, and a tick of the clock */
    CHECK_COUNT(kv.ns, "k", 3);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("k"), &removed, &error), LUAT_KV_OK);
    CHECK(removed == 3);
    kv_close(kv);
}

/* ---- 100 000 keys, and another writer */

enum { MANY = 100000 };

static void put_many(struct kv kv, const char *prefix)
{
    luat_kv_batch *batch = NULL;
    char key[40];
    CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
    for (int number = 0; number < MANY; number++) {
        snprintf(key, sizeof key, "%s%d", prefix, number);
        CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, TEXT(key), TEXT(key), NULL, &error), LUAT_KV_OK);
    }
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
}

static void a_removal_lets_others_write(void)
{
    uint64_t removed = 7;
    char line[20];
    struct kv kv = kv_open(scratch("kv.db"));
    put_many(kv, "gone:");
    kv_put_numbers(kv.ns, "stays:", 10);
    struct process child = process_start_self("write", scratch("kv.db"), "w", "5000");
    CHECK(process_read(child, line, sizeof line));
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("gone:"), &removed, &error), LUAT_KV_OK);
    CHECK(removed == MANY);
    CHECK(process_written(child) == 5000);
    CHECK_COUNT(kv.ns, "gone:", 0);
    CHECK_COUNT(kv.ns, "", 5010);
    kv_check_numbers(kv.ns, "w", 5000);
    kv_check_numbers(kv.ns, "stays:", 10);
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

static const struct check_test tests[] = {
    TEST(what_is_there_comes_once_and_in_order),
    TEST(a_bulk_read_has_limits),
    TEST(a_bulk_read_needs_its_arguments),
    TEST(a_list_goes_backwards),
    TEST(bounds_are_in_byte_order_either_way),
    TEST(bounds_hold_on_every_page),
    TEST(a_list_has_values_where_they_are_wanted),
    TEST(a_page_of_values_ends_at_16_mib),
    TEST(a_cursor_goes_with_its_list_only),
    TEST(what_a_list_is_told_is_checked),
    TEST(keys_are_counted_by_prefix),
    TEST(keys_are_removed_by_prefix),
    TEST(an_empty_prefix_removes_nothing),
    TEST(what_has_expired_is_not_counted),
};

static const struct check_test processes[] = {
    TEST(a_removal_lets_others_write),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_both_backends(tests);
    check_tests("", processes);
    return check_done();
}
