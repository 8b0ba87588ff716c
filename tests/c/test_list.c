/*
 * What list does, on both back ends: order, prefixes, pages and cursors.
 */
#include "backends.h"

static luat_kv_page *list(luat_kv_namespace *ns, const luat_kv_list_options *options)
{
    luat_kv_page *page = NULL;
    CHECK_STATUS(luat_kv_list(ns, options, &page, &error), LUAT_KV_OK);
    return page;
}

/* The page behind another, which is freed. */
static luat_kv_page *list_next(luat_kv_namespace *ns, luat_kv_list_options options, luat_kv_page *page)
{
    options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
    CHECK(options.cursor.data != NULL);
    luat_kv_page *next = list(ns, &options);
    luat_kv_page_free(page);
    return next;
}

static bool is_complete(const luat_kv_page *page)
{
    return luat_kv_page_cursor(page, NULL) == NULL;
}

/* The page's keys, with a space behind each; the page is freed. */
static const char *names(luat_kv_page *page)
{
    static char text[4096];
    size_t end = 0;
    for (size_t at = 0; at < luat_kv_page_len(page); at++) {
        size_t len = 0;
        const uint8_t *key = luat_kv_entry_key(luat_kv_page_at(page, at), &len);
        if (end + len + 2 > sizeof text)
            break;
        memcpy(text + end, key, len);
        end += len;
        text[end++] = ' ';
    }
    text[end] = '\0';
    luat_kv_page_free(page);
    return text;
}

#define CHECK_NAMES(page, expected) \
    do { \
        const char *names_ = names(page); \
        CHECK_BYTES((const uint8_t *)names_, strlen(names_), expected); \
    } while (0)

static void put_all(luat_kv_namespace *ns, const char *const *keys)
{
    for (; *keys; keys++)
        CHECK_STATUS(kv_put(ns, *keys, "", &error), LUAT_KV_OK);
}

/* ---- What is listed */

static void an_empty_namespace_is_a_complete_page(void)
{
    struct kv kv = open_default();
    luat_kv_page *page = list(kv.ns, NULL);
    CHECK(page != NULL && luat_kv_page_len(page) == 0);
    CHECK(luat_kv_page_at(page, 0) == NULL);
    CHECK_NO_VIEW(luat_kv_page_cursor, page);
    luat_kv_page_free(page);
    kv_close(kv);
}

static void entries_tell_all_but_the_value(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"n\":1}") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("a\0b"), LUAT_KV_TEXT("value"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "plain", "value");

    luat_kv_page *page = list(kv.ns, NULL);
    const luat_kv_entry *full = luat_kv_page_at(page, 0), *plain = luat_kv_page_at(page, 1);
    CHECK(luat_kv_page_len(page) == 2 && luat_kv_page_at(page, 2) == NULL && luat_kv_page_at(page, SIZE_MAX) == NULL);
    CHECK_VIEW(luat_kv_entry_key, full, "a\0b");
    CHECK_VIEW(luat_kv_entry_metadata, full, "{\"n\":1}");
    CHECK(luat_kv_entry_expiration(full) == 4000000000);
    CHECK_NO_VIEW(luat_kv_entry_value, full);
    CHECK_VIEW(luat_kv_entry_key, plain, "plain");
    CHECK_NO_VIEW(luat_kv_entry_metadata, plain);
    CHECK(luat_kv_entry_expiration(plain) == 0);
    luat_kv_page_free(page);
    kv_close(kv);
}

static void keys_come_in_byte_order(void)
{
    /* U+FFFD before U+10000: where UTF-16 would have it the other way round. */
    static const char *const mixed[] = { "\U00010000", "b", "\uFFFD", "a", "B", "aa", "\u00e9", "~", "Z", "a!", NULL };
    struct kv kv = open_default();
    put_all(kv.ns, mixed);
    CHECK_NAMES(list(kv.ns, NULL), "B Z a a! aa b ~ \u00e9 \uFFFD \U00010000 ");

    CHECK_PUT(kv.ns, "a\0", "");
    CHECK_PUT(kv.ns, "a\0b", "");
    CHECK_PUT(kv.ns, "a\1", "");
    luat_kv_list_options options = kv_list_options("a", 0);
    luat_kv_page *page = list(kv.ns, &options);
    CHECK(luat_kv_page_len(page) == 6);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "a");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 1), "a\0");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 2), "a\0b");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 3), "a\1");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 4), "a!");
    luat_kv_page_free(page);
    kv_close(kv);
}

static void a_prefix_is_literal(void)
{
    static const struct {
        const char *prefix, *names;
    } cases[] = {
        { "", "A_b a%b a*b a\\b a_b axb b \u00e9 \U0010ffff \U0010ffffz " },
        { "a%", "a%b " }, { "a_", "a_b " }, { "a\\", "a\\b " }, { "a*", "a*b " }, { "A", "A_b " },
        { "axb", "axb " }, { "axbc", "" }, { "%", "" }, { "_", "" }, { "\u00e9", "\u00e9 " },
        { "\U0010ffff", "\U0010ffff \U0010ffffz " }, { "\U0010ffff\U0010ffff", "" },
    };
    static const char *const keys[] = {
        "a%b", "a_b", "a\\b", "a*b", "axb", "A_b", "b", "\u00e9", "\U0010ffff", "\U0010ffffz", NULL,
    };
    struct kv kv = open_default();
    luat_kv_list_options options = kv_list_options("", 0);
    put_all(kv.ns, keys);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        options.prefix = (luat_kv_bytes){ TEXT(cases[at].prefix) };
        const char *listed = names(list(kv.ns, &options));
        if (strcmp(listed, cases[at].names) != 0)
            check_fail(__FILE__, __LINE__, "prefix %s: %s", cases[at].prefix, listed);
    }
    CHECK_PUT(kv.ns, "axb\0c", "");
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("axb\0") };
    luat_kv_page *page = list(kv.ns, &options);
    CHECK(luat_kv_page_len(page) == 1);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "axb\0c");
    luat_kv_page_free(page);
    kv_close(kv);
}

/* ---- Pages */

static void pages_make_up_the_whole(void)
{
    enum { KEYS = 57 };
    static const uint32_t limits[] = { 1, 2, 7, 19, 56, 57, 58, 10000 };
    struct kv kv = open_default();
    kv_put_numbers(kv.ns, "key:", KEYS);
    kv_put_numbers(kv.ns, "other:", 3);
    for (size_t at = 0; at < sizeof limits / sizeof *limits; at++) {
        luat_kv_list_options options = kv_list_options("key:", limits[at]);
        luat_kv_page *page = list(kv.ns, &options);
        size_t seen = luat_kv_page_len(page), pages = 1;
        for (; !is_complete(page); pages++) {
            CHECK(luat_kv_page_len(page) == limits[at]);
            page = list_next(kv.ns, options, page);
            seen += luat_kv_page_len(page);
        }
        luat_kv_page_free(page);
        CHECK(seen == KEYS);
        CHECK(pages == (KEYS + limits[at] - 1) / limits[at]); /* no empty page at the end */
    }
    kv_close(kv);
}

static void limits_of_a_page(void)
{
    struct kv kv = open_default();
    luat_kv_page *page = GARBAGE;
    kv_put_numbers(kv.ns, "", 1001);
    page = list(kv.ns, NULL);
    CHECK(luat_kv_page_len(page) == 1000 && !is_complete(page));
    page = list_next(kv.ns, kv_list_options("", 0), page);
    CHECK(luat_kv_page_len(page) == 1 && is_complete(page));
    luat_kv_page_free(page);

    luat_kv_list_options options = kv_list_options("", 10000);
    page = list(kv.ns, &options);
    CHECK(luat_kv_page_len(page) == 1001 && is_complete(page));
    luat_kv_page_free(page);
    page = GARBAGE;
    options.limit = 10001;
    CHECK_REFUSED(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_LIMIT, "10001");
    CHECK(page == NULL);
    options.limit = UINT32_MAX;
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_LIMIT);
    kv_close(kv);

    kv = open_cloudflare();
    options.limit = 1000;
    luat_kv_page_free(list(kv.ns, &options));
    options.limit = 1001;
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_LIMIT);
    kv_close(kv);
}

/* ---- Cursors */

static void a_cursor_is_a_place_and_nothing_else(void)
{
    static const char *const keys[] = { "a", "c", "e", "g", "i", "k", NULL };
    struct kv kv = open_default();
    luat_kv_list_options two = kv_list_options("", 2);
    put_all(kv.ns, keys);

    luat_kv_page *page = list(kv.ns, &two); /* a c */
    CHECK_STATUS(kv_delete(kv.ns, "c", &error), LUAT_KV_OK);
    CHECK_STATUS(kv_delete(kv.ns, "g", &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "b", "sorts before the cursor");
    CHECK_PUT(kv.ns, "d", "sorts after it");
    CHECK_PUT(kv.ns, "c\0", "sorts right after it");
    luat_kv_list_options three = kv_list_options("", 3);
    page = list_next(kv.ns, three, page);
    CHECK(luat_kv_page_len(page) == 3);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "c\0");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 1), "d");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 2), "e");
    page = list_next(kv.ns, two, page);
    CHECK(is_complete(page));
    CHECK_NAMES(page, "i k ");
    kv_close(kv);
}

static void the_key_put_again_is_not_listed_twice(void)
{
    static const char *const keys[] = { "a", "b", "c", NULL };
    struct kv kv = open_default();
    luat_kv_list_options one = kv_list_options("", 1);
    put_all(kv.ns, keys);
    luat_kv_page *page = list(kv.ns, &one);
    put_all(kv.ns, keys);
    page = list_next(kv.ns, kv_list_options("", 0), page);
    CHECK_NAMES(page, "b c ");
    kv_close(kv);
}

static void a_cursor_may_outlive_all_it_stood_between(void)
{
    static const char *const keys[] = { "a", "b", "c", NULL };
    struct kv kv = open_default();
    luat_kv_list_options one = kv_list_options("", 1);
    put_all(kv.ns, keys);
    luat_kv_page *page = list(kv.ns, &one);
    for (int at = 0; keys[at]; at++)
        CHECK_STATUS(kv_delete(kv.ns, keys[at], &error), LUAT_KV_OK);
    page = list_next(kv.ns, one, page);
    CHECK(luat_kv_page_len(page) == 0 && is_complete(page));
    luat_kv_page_free(page);
    kv_close(kv);
}

static luat_kv_status list_from(luat_kv_namespace *ns, const void *cursor, size_t len, luat_kv_error **error)
{
    luat_kv_list_options options = kv_list_options("", 0);
    luat_kv_page *page = GARBAGE;
    options.cursor = (luat_kv_bytes){ cursor, len };
    luat_kv_status status = luat_kv_list(ns, &options, &page, error);
    CHECK((page == NULL) == (status != LUAT_KV_OK));
    luat_kv_page_free(page);
    return status;
}

static void a_malformed_cursor_is_refused(void)
{
    static const char *const garbage[] = {
        "x", "garbage", "AAAA", "====", "AQ==", " ", "key:10", "\xff\xfe", "\n", "null",
    };
    struct kv kv = open_default();
    luat_kv_list_options ten = kv_list_options("", 10);
    char cursor[200], *huge = malloc(1 << 20);
    size_t len = 0;
    for (size_t at = 0; at < sizeof garbage / sizeof *garbage; at++)
        CHECK_REFUSED(list_from(kv.ns, TEXT(garbage[at]), &error), LUAT_KV_INVALID, "cursor");
    memset(huge, 'A', 1 << 20);
    CHECK_REFUSED(list_from(kv.ns, huge, 1 << 20, &error), LUAT_KV_INVALID, "cursor");
    free(huge);

    kv_put_numbers(kv.ns, "key:", 20);
    luat_kv_page *page = list(kv.ns, &ten);
    const uint8_t *data = luat_kv_page_cursor(page, &len);
    CHECK(data && len < sizeof cursor);
    memcpy(cursor, data, len);
    luat_kv_page_free(page);
    CHECK_STATUS(list_from(kv.ns, cursor, len, &error), LUAT_KV_OK);
    for (size_t at = 0; at < len; at++) { /* mangled, cut short, too long */
        char right = cursor[at];
        cursor[at] = right == 'B' ? 'C' : 'B';
        CHECK_STATUS(list_from(kv.ns, cursor, len, &error), LUAT_KV_INVALID);
        cursor[at] = right;
        CHECK_STATUS(list_from(kv.ns, cursor, at, &error), at == 0 ? LUAT_KV_OK : LUAT_KV_INVALID);
    }
    cursor[len] = 'A';
    CHECK_STATUS(list_from(kv.ns, cursor, len + 1, &error), LUAT_KV_INVALID);
    cursor[len] = '\0';
    CHECK_STATUS(list_from(kv.ns, cursor, len + 1, &error), LUAT_KV_INVALID);
    kv_close(kv);
}

static void a_cursor_of_the_longest_key_works(void)
{
    static char longest[4097], last[4097];
    struct kv kv = open_default();
    luat_kv_list_options one = kv_list_options("", 1);
    const size_t length = backend == POSTGRES ? 2600 - strlen("test") : 4096;
    memset(longest, 'k', length);
    memset(last, 'k', length - 1);
    last[length - 1] = 'l';
    CHECK_STATUS(kv_put(kv.ns, longest, "", &error), LUAT_KV_OK);
    CHECK_STATUS(kv_put(kv.ns, last, "", &error), LUAT_KV_OK);
    luat_kv_page *page = list_next(kv.ns, one, list(kv.ns, &one));
    size_t len = 0;
    const uint8_t *key = luat_kv_entry_key(luat_kv_page_at(page, 0), &len);
    CHECK(key && len == length && memcmp(key, last, len) == 0);
    CHECK(is_complete(page));
    luat_kv_page_free(page);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(an_empty_namespace_is_a_complete_page),
    TEST(entries_tell_all_but_the_value),
    TEST(keys_come_in_byte_order),
    TEST(a_prefix_is_literal),
    TEST(pages_make_up_the_whole),
    TEST(limits_of_a_page),
    TEST(a_cursor_is_a_place_and_nothing_else),
    TEST(the_key_put_again_is_not_listed_twice),
    TEST(a_cursor_may_outlive_all_it_stood_between),
    TEST(a_malformed_cursor_is_refused),
    TEST(a_cursor_of_the_longest_key_works),
};

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
