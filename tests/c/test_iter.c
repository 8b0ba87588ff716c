/*
 * Iterators, on both back ends: they give the entries of a list, however many pages these take, and go on after an
 * error.
 */
#define _GNU_SOURCE
#include "faults.h"

#include "backends.h"

static luat_kv_iter *iterate(luat_kv_namespace *ns, const luat_kv_list_options *options)
{
    luat_kv_iter *iter = GARBAGE;
    CHECK_STATUS(luat_kv_iter_open(ns, options, &iter, &error), LUAT_KV_OK);
    return iter;
}

static const luat_kv_entry *next(luat_kv_iter *iter)
{
    const luat_kv_entry *entry = GARBAGE;
    CHECK_STATUS(luat_kv_iter_next(iter, &entry, &error), LUAT_KV_OK);
    return entry;
}

static void check_end(luat_kv_iter *iter)
{
    const luat_kv_entry *entry = GARBAGE;
    CHECK_STATUS(luat_kv_iter_next(iter, &entry, &error), LUAT_KV_NOT_FOUND);
    CHECK(entry == NULL);
}

/* The number of entries that are left. */
static size_t count_rest(luat_kv_iter *iter)
{
    const luat_kv_entry *entry = NULL;
    size_t count = 0;
    while (luat_kv_iter_next(iter, &entry, NULL) == LUAT_KV_OK)
        count++;
    check_end(iter);
    return count;
}

/* What an iterator gives, as keys with a space after each; it is freed. */
#define CHECK_KEYS(iter, expected) \
    do { \
        char keys_[1000] = ""; \
        read_keys(iter, keys_, sizeof keys_); \
        CHECK_BYTES(keys_, strlen(keys_), expected); \
    } while (0)

static void read_keys(luat_kv_iter *iter, char *keys, size_t size)
{
    const luat_kv_entry *entry = NULL;
    size_t end = 0;
    while (luat_kv_iter_next(iter, &entry, NULL) == LUAT_KV_OK) {
        size_t len = 0;
        const uint8_t *key = luat_kv_entry_key(entry, &len);
        end += (size_t)snprintf(keys + end, size - end, "%.*s ", (int)len, (const char *)key);
    }
    check_end(iter);
    luat_kv_iter_free(iter);
}

static void put_letters(luat_kv_namespace *ns)
{
    CHECK_PUT(ns, "a", "1");
    CHECK_PUT(ns, "b", "2");
    CHECK_PUT(ns, "c", "3");
    CHECK_PUT(ns, "d", "4");
}

/* Keys for two full pages and a part of a third. */
enum { MANY = 2100 };

static void put_many(struct kv kv)
{
    luat_kv_batch *batch = NULL;
    CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
    for (int number = 0; number < MANY; number++) {
        char key[150];
        int len = snprintf(key, sizeof key, "%0100d", number);
        CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, key, (size_t)len, key, (size_t)len, NULL, &error), LUAT_KV_OK);
    }
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
}

static bool is_number(const luat_kv_entry *entry, int number)
{
    char key[150];
    size_t len = 0;
    const uint8_t *data = luat_kv_entry_key(entry, &len);
    return data && snprintf(key, sizeof key, "%0100d", number) == (int)len && memcmp(data, key, len) == 0;
}

static void an_empty_namespace_is_the_end(void)
{
    struct kv kv = open_default();
    luat_kv_iter *iter = iterate(kv.ns, NULL);
    check_end(iter);
    CHECK_PUT(kv.ns, "late", "x");
    check_end(iter);
    luat_kv_iter_free(iter);
    kv_close(kv);
}

static void entries_are_those_of_a_list(void)
{
    struct kv kv = open_default();
    luat_kv_list_options values = kv_list_options("", 0);
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("[1]") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("a\0"), LUAT_KV_TEXT("v\0"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "b", "");

    luat_kv_iter *iter = iterate(kv.ns, NULL);
    CHECK_NO_VIEW(luat_kv_entry_value, next(iter));
    luat_kv_iter_free(iter);

    values.flags = LUAT_KV_LIST_VALUES;
    iter = iterate(kv.ns, &values);
    const luat_kv_entry *entry = next(iter);
    luat_kv_entry *read = NULL;
    CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("a\0"), &read, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_key, entry, "a\0");
    CHECK_VIEW(luat_kv_entry_value, entry, "v\0");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "[1]");
    CHECK(luat_kv_entry_expiration(entry) == 4000000000 && kv_same_version(entry, read));
    entry = next(iter);
    CHECK_VIEW(luat_kv_entry_key, entry, "b");
    CHECK_VIEW(luat_kv_entry_value, entry, "");
    CHECK_NO_VIEW(luat_kv_entry_metadata, entry);
    CHECK(luat_kv_entry_expiration(entry) == 0);
    check_end(iter);
    check_end(iter);
    luat_kv_iter_free(iter);
    luat_kv_entry_free(read);
    kv_close(kv);
}

static void options_are_those_of_a_list(void)
{
    struct kv kv = open_default();
    luat_kv_list_options options = kv_list_options("", 0);
    put_letters(kv.ns);
    CHECK_PUT(kv.ns, "ba", "5");
    CHECK_KEYS(iterate(kv.ns, NULL), "a b ba c d ");
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("b") };
    CHECK_KEYS(iterate(kv.ns, &options), "b ba ");
    options = kv_list_options("", 3);
    CHECK_KEYS(iterate(kv.ns, &options), "a b ba ");
    options.flags = LUAT_KV_LIST_REVERSE;
    CHECK_KEYS(iterate(kv.ns, &options), "d c ba ");
    options.start = (luat_kv_bytes){ LUAT_KV_TEXT("b") };
    options.stop = (luat_kv_bytes){ LUAT_KV_TEXT("c") };
    CHECK_KEYS(iterate(kv.ns, &options), "ba b ");
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("x") };
    CHECK_KEYS(iterate(kv.ns, &options), "");

    luat_kv_page *page = NULL;
    options = kv_list_options("", 2);
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_OK);
    options = kv_list_options("", 0);
    options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
    CHECK_KEYS(iterate(kv.ns, &options), "ba c d ");
    luat_kv_page_free(page);
    kv_close(kv);
}

/* What is wrong is reported by the open, and not by a call after it. */
static void wrong_options_are_refused(void)
{
    static char too_long[4097];
    struct kv kv = open_default();
    luat_kv_iter *iter = GARBAGE;
    luat_kv_list_options options = kv_list_options("", 0);
    memset(too_long, 'p', sizeof too_long);
    options.flags = 4;
    CHECK_STATUS(luat_kv_iter_open(kv.ns, &options, &iter, &error), LUAT_KV_INVALID);
    CHECK(iter == NULL);
    options.flags = 0;
    options.reserved = 1;
    CHECK_STATUS(luat_kv_iter_open(kv.ns, &options, &iter, &error), LUAT_KV_INVALID);
    options.reserved = 0;
    options.cursor = (luat_kv_bytes){ LUAT_KV_TEXT("garbage") };
    CHECK_REFUSED(luat_kv_iter_open(kv.ns, &options, &iter, &error), LUAT_KV_INVALID, "cursor");
    options = kv_list_options("", 0);
    options.prefix = (luat_kv_bytes){ too_long, sizeof too_long };
    iter = GARBAGE;
    CHECK_REFUSED(luat_kv_iter_open(kv.ns, &options, &iter, &error), LUAT_KV_LIMIT, "prefix");
    CHECK(iter == NULL);
    options.struct_size = 0;
    CHECK_STATUS(luat_kv_iter_open(kv.ns, &options, &iter, &error), LUAT_KV_INVALID);
    kv_close(kv);
}

static void pages_follow_each_other(void)
{
    struct kv kvs[] = { open_default(), backend == MEMORY ? open_cloudflare() : (struct kv){ NULL, NULL } };
    for (int which = 0; which < 2 && kvs[which].ns; which++) {
        luat_kv_list_options options = kv_list_options("", 0);
        put_many(kvs[which]);
        luat_kv_iter *iter = iterate(kvs[which].ns, &options);
        for (int number = 0; number < MANY; number++)
            CHECK(is_number(next(iter), number));
        check_end(iter);
        luat_kv_iter_free(iter);
        options.flags = LUAT_KV_LIST_REVERSE;
        options.limit = 1500;
        iter = iterate(kvs[which].ns, &options);
        for (int number = 0; number < 1500; number++)
            CHECK(is_number(next(iter), MANY - 1 - number));
        check_end(iter);
        luat_kv_iter_free(iter);
        options.limit = UINT32_MAX;
        iter = iterate(kvs[which].ns, &options);
        CHECK(count_rest(iter) == MANY);
        luat_kv_iter_free(iter);
        kv_close(kvs[which]);
    }
}

/* A page is read when it is needed. */
static void changes_show_from_the_next_page_on(void)
{
    struct kv kv = open_default();
    put_many(kv);
    luat_kv_iter *iter = iterate(kv.ns, NULL);
    CHECK(is_number(next(iter), 0));
    CHECK_STATUS(luat_kv_clear(kv.ns, NULL, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "z", "last");
    CHECK(is_number(next(iter), 1));
    CHECK(count_rest(iter) == 998 + 1);
    luat_kv_iter_free(iter);
    kv_close(kv);
}

static void what_is_passed_in_is_copied(void)
{
    struct kv kv = open_default();
    char prefix[] = "0", start[] = "00", stop[] = "1";
    luat_kv_list_options options = kv_list_options("", 0);
    put_many(kv);
    options.prefix = (luat_kv_bytes){ TEXT(prefix) };
    options.start = (luat_kv_bytes){ TEXT(start) };
    options.stop = (luat_kv_bytes){ TEXT(stop) };
    luat_kv_iter *iter = iterate(kv.ns, &options);
    memset(prefix, 'x', 1), memset(start, 'x', 2), memset(stop, 'x', 1);
    memset(&options, 0xff, sizeof options);
    CHECK(count_rest(iter) == MANY);
    luat_kv_iter_free(iter);
    kv_close(kv);
}

static void it_keeps_its_namespace_and_store(void)
{
    struct kv kv = open_default();
    put_many(kv);
    luat_kv_iter *iter = iterate(kv.ns, NULL), *never_used = iterate(kv.ns, NULL);
    luat_kv_close(kv.store);
    CHECK(is_number(next(iter), 0));
    luat_kv_namespace_free(kv.ns);
    for (int number = 1; number < MANY; number++)
        CHECK(is_number(next(iter), number));
    check_end(iter);
    luat_kv_iter_free(never_used);
    luat_kv_iter_free(iter);
}

static void it_is_freed_where_it_stands(void)
{
    struct kv kv = open_default();
    put_letters(kv.ns);
    luat_kv_iter *iter = iterate(kv.ns, NULL);
    const luat_kv_entry *entry = next(iter);
    CHECK_STATUS(kv_delete(kv.ns, "a", &error), LUAT_KV_OK);
    kv_close(kv);
    CHECK_VIEW(luat_kv_entry_key, entry, "a");
    luat_kv_iter_free(iter);
    luat_kv_iter_free(NULL);
}

/* ---- What only a file has */

static void it_goes_on_after_an_error(void)
{
    struct kv kv = open_default();
    put_many(kv);
    kv_close(kv);
    kv = open_default(); /* with nothing in its cache */
    luat_kv_iter *iter = iterate(kv.ns, NULL);
    for (int number = 0; number < 1000; number++)
        CHECK(is_number(next(iter), number));
    fault_set(FAULT_READ, "/kv.db", EIO, 1000000);
    for (int attempt = 0; attempt < 2; attempt++) {
        const luat_kv_entry *entry = GARBAGE;
        CHECK_REFUSED(luat_kv_iter_next(iter, &entry, &error), LUAT_KV_IO, "Input/output error");
        CHECK(entry == NULL);
    }
    CHECK(fault_count > 0);
    fault_end();
    for (int number = 1000; number < MANY; number++)
        CHECK(is_number(next(iter), number));
    check_end(iter);
    luat_kv_iter_free(iter);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(an_empty_namespace_is_the_end),
    TEST(entries_are_those_of_a_list),
    TEST(options_are_those_of_a_list),
    TEST(wrong_options_are_refused),
    TEST(pages_follow_each_other),
    TEST(changes_show_from_the_next_page_on),
    TEST(what_is_passed_in_is_copied),
    TEST(it_keeps_its_namespace_and_store),
    TEST(it_is_freed_where_it_stands),
};

static const struct check_test on_disk[] = {
    TEST(it_goes_on_after_an_error),
};

int main(void)
{
    check_both_backends(tests);
    check_tests("disk", on_disk);
    return check_done();
}
