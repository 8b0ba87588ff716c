/*
 * What put, get, delete and sweep do, on both back ends.
 */
#include "backends.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

/* ---- Values and keys */

static void values_are_any_bytes(void)
{
    struct kv kv = open_default();
    uint8_t all[256], copy[256];
    size_t len = 0;
    for (int byte = 0; byte < 256; byte++)
        all[byte] = (uint8_t)byte;
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("all"), all, sizeof all, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("all"), copy, sizeof copy, &len, &error), LUAT_KV_OK);
    CHECK(len == sizeof all && memcmp(copy, all, sizeof all) == 0);

    CHECK_PUT(kv.ns, "NUL", "a\0b\0");
    CHECK_VALUE(kv.ns, "NUL", "a\0b\0");
    CHECK_PUT(kv.ns, "not UTF-8", "\xff\xc0\x80");
    CHECK_VALUE(kv.ns, "not UTF-8", "\xff\xc0\x80");
    CHECK_PUT(kv.ns, "digits", "12");
    CHECK_VALUE(kv.ns, "digits", "12");
    kv_close(kv);
}

static void an_empty_value_is_a_value(void)
{
    struct kv kv = open_default();
    size_t len = SIZE_MAX;
    CHECK_PUT(kv.ns, "empty", "");
    CHECK_VALUE(kv.ns, "empty", "");
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("null"), NULL, 0, NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "null", "");
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("null"), NULL, 0, &len, &error), LUAT_KV_OK);
    CHECK(len == 0);
    kv_close(kv);
}

static void keys_are_any_text(void)
{
    struct kv kv = open_default();
#define EACH_KEY(DO) \
    DO("a") DO("A") DO("a\0") DO("a\0b") DO("\0") DO(" ") DO("a ") DO("%") DO("_") DO("\\") DO("/") DO("'") \
    DO("\n") DO(".") DO("..") DO("\x7f") DO("\u00e9") DO("e\u0301") DO("\uffff") DO("\U0001f600") DO("\U0010ffff")
#define PUT_KEY(key) CHECK_PUT(kv.ns, key, "<" key ">");
#define READ_KEY(key) CHECK_VALUE(kv.ns, key, "<" key ">");
    EACH_KEY(PUT_KEY)
    EACH_KEY(READ_KEY)
    CHECK(kv_count(kv.ns, "") == 21);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("a\0"), &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "a\0");
    CHECK_VALUE(kv.ns, "a", "<a>");
    CHECK_VALUE(kv.ns, "a\0b", "<a\0b>");
    kv_close(kv);
}

/* Every call that takes a key refuses this one. */
static void check_refused_key(luat_kv_namespace *ns, const void *key, size_t len, luat_kv_status status)
{
    luat_kv_entry *entry = GARBAGE;
    size_t value_len = SIZE_MAX;
    CHECK_STATUS(luat_kv_put(ns, key, len, LUAT_KV_TEXT("x"), NULL, &error), status);
    CHECK_STATUS(luat_kv_get(ns, key, len, NULL, 0, &value_len, &error), status);
    CHECK_STATUS(luat_kv_get_entry(ns, key, len, &entry, &error), status);
    CHECK_STATUS(luat_kv_delete(ns, key, len, &error), status);
    CHECK(value_len == 0 && entry == NULL);
    entry = GARBAGE;
    CHECK_STATUS(luat_kv_has(ns, key, len, &error), status);
    CHECK_STATUS(luat_kv_remove(ns, key, len, &error), status);
    CHECK_STATUS(luat_kv_take(ns, key, len, &entry, &error), status);
    CHECK(entry == NULL);
}

static void a_name_that_is_empty_or_not_utf8_is_refused(void)
{
    static const char *const wrong[] = {
        "\xff", "a\x80", "\xc0\x80" /* overlong */, "\xed\xa0\x80" /* surrogate */, "\xf4\x90\x80\x80" /* too high */,
        "\xe2\x82" /* cut short */, "",
    };
    struct kv kv = open_default();
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        luat_kv_namespace *ns = GARBAGE;
        check_refused_key(kv.ns, TEXT(wrong[at]), LUAT_KV_INVALID);
        CHECK_STATUS(luat_kv_namespace_open(kv.store, TEXT(wrong[at]), &ns, &error), LUAT_KV_INVALID);
        CHECK(ns == NULL);
    }
    CHECK(kv_count(kv.ns, "") == 0);
    kv_close(kv);
}

static void namespaces_do_not_see_each_other(void)
{
    struct kv kv = open_default();
    luat_kv_namespace *other = NULL, *nul = NULL, *same = NULL;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("Test"), &other, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("test\0"), &nul, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("test"), &same, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "key", "1");
    CHECK_PUT(nul, "key", "2");
    CHECK_MISSING(other, "key");
    CHECK_VALUE(nul, "key", "2");
    CHECK_VALUE(same, "key", "1");
    CHECK_STATUS(luat_kv_delete(nul, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "1");
    CHECK(kv_count(nul, "") == 0 && kv_count(same, "") == 1);
    luat_kv_namespace_free(other);
    luat_kv_namespace_free(nul);
    luat_kv_namespace_free(same);
    kv_close(kv);
}

static void a_missing_key_is_not_found(void)
{
    struct kv kv = open_default();
    CHECK_MISSING(kv.ns, "missing");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("missing"), &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "key");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    kv_close(kv);
}

static void too_small_a_buffer_is_told_the_length(void)
{
    struct kv kv = open_default();
    uint8_t copy[] = "........";
    size_t len = SIZE_MAX;
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), NULL, 0, &len, &error), LUAT_KV_TOO_SMALL);
    CHECK(len == 5);
    len = SIZE_MAX;
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), copy, 4, &len, &error), LUAT_KV_TOO_SMALL);
    CHECK(len == 5);
    CHECK_BYTES(copy, sizeof copy - 1, "........");
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), copy, 5, &len, &error), LUAT_KV_OK);
    CHECK(len == 5);
    CHECK_BYTES(copy, sizeof copy - 1, "value...");
    kv_close(kv);
}

/* From the file, and, when it is read again, from what the store keeps in memory. */
static void a_value_may_be_read_into_the_buffer_of_its_key(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "key", "value");
    for (int reads = 0; reads < 4; reads++) {
        for (size_t at = 0; at < 8; at++) {
            uint8_t buffer[16] = "...............";
            size_t len = SIZE_MAX;
            memcpy(buffer + 4, "key", 3);
            CHECK_STATUS(luat_kv_get(kv.ns, buffer + 4, 3, buffer + at, 5, &len, &error), LUAT_KV_OK);
            CHECK_BYTES(buffer + at, len, "value");
        }
    }
    kv_close(kv);
}

/* ---- Metadata and expiration */

static luat_kv_put_options put_options(int64_t expiration, int64_t ttl, const char *metadata)
{
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = expiration;
    options.expiration_ttl = ttl;
    options.metadata.data = (const uint8_t *)metadata;
    options.metadata.len = metadata ? strlen(metadata) : 0;
    return options;
}

static luat_kv_status put_with(luat_kv_namespace *ns, const char *key, luat_kv_put_options options,
                               luat_kv_error **error)
{
    return luat_kv_put(ns, TEXT(key), LUAT_KV_TEXT("value"), &options, error);
}

/* The entry of a key, or NULL. */
static luat_kv_entry *entry_of(luat_kv_namespace *ns, const char *key)
{
    luat_kv_entry *entry = NULL;
    CHECK_STATUS(luat_kv_get_entry(ns, TEXT(key), &entry, &error), LUAT_KV_OK);
    return entry;
}

static void a_put_replaces_everything(void)
{
    struct kv kv = open_default();
    int64_t later = time(NULL) + 1000;
    CHECK_STATUS(put_with(kv.ns, "key", put_options(later, 0, "{\"a\":[1,null]}"), &error), LUAT_KV_OK);
    luat_kv_entry *entry = entry_of(kv.ns, "key");
    CHECK_VIEW(luat_kv_entry_value, entry, "value");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "{\"a\":[1,null]}");
    CHECK(luat_kv_entry_expiration(entry) == later);
    luat_kv_entry_free(entry);

    CHECK_PUT(kv.ns, "key", "other");
    entry = entry_of(kv.ns, "key");
    CHECK_VIEW(luat_kv_entry_value, entry, "other");
    CHECK_NO_VIEW(luat_kv_entry_metadata, entry);
    CHECK(luat_kv_entry_expiration(entry) == 0);
    luat_kv_entry_free(entry);
    kv_close(kv);
}

/* Refused, and the key holds what it held. */
#define CHECK_PUT_REFUSED(ns, options, status) \
    do { \
        CHECK_STATUS(put_with(ns, "key", options, &error), status); \
        CHECK_VALUE(ns, "key", "as before"); \
    } while (0)

static void metadata_is_any_json_but_null(void)
{
    static const char *const right[] = { "false", "0", "-1.5e3", "\"\"", "{}", "[]", "[null]",
                                         " {\"a\" : \"\\u0000\"} " };
    static const char *const wrong[] = {
        "null", " null\n", "nil", "{", "{}{}", "NaN", "'a'", "[1,]", "\"\\x\"", "\"a\nb\"", "\"\xff\"", " ",
    };
    struct kv kv = open_default();
    for (size_t at = 0; at < sizeof right / sizeof *right; at++) {
        size_t len = 0;
        CHECK_STATUS(put_with(kv.ns, "key", put_options(0, 0, right[at]), &error), LUAT_KV_OK);
        luat_kv_entry *entry = entry_of(kv.ns, "key");
        const uint8_t *metadata = luat_kv_entry_metadata(entry, &len);
        CHECK(metadata && len == strlen(right[at]) && memcmp(metadata, right[at], len) == 0);
        luat_kv_entry_free(entry);
    }
    CHECK_PUT(kv.ns, "key", "as before");
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++)
        CHECK_PUT_REFUSED(kv.ns, put_options(0, 0, wrong[at]), LUAT_KV_INVALID);
    kv_close(kv);
}

static void metadata_nests_to_a_depth_of_128(void)
{
    static char deep[60001];
    struct kv kv = open_default();
    memset(deep, '[', 129);
    memset(deep + 129, ']', 129);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_PUT_REFUSED(kv.ns, put_options(0, 0, deep), LUAT_KV_INVALID);
    deep[1 + 256] = '\0';
    CHECK_STATUS(put_with(kv.ns, "deep", put_options(0, 0, deep + 1), &error), LUAT_KV_OK);
    memset(deep, '[', 60000);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, 0, deep), LUAT_KV_INVALID);
    kv_close(kv);
}

static void an_expiration_lies_in_the_future(void)
{
    struct kv kv = open_default();
    int64_t now = time(NULL);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_PUT_REFUSED(kv.ns, put_options(now, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(1, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(-1, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(INT64_MIN, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, -1, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, INT64_MIN, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, INT64_MAX, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(now + 100, -1, NULL), LUAT_KV_INVALID);

    /* The end of the year 9999. What is later looks like milliseconds. */
    const int64_t last = 253402300799;
    CHECK_STATUS(put_with(kv.ns, "last", put_options(last, 0, NULL), &error), LUAT_KV_OK);
    luat_kv_entry *entry = entry_of(kv.ns, "last");
    CHECK(luat_kv_entry_expiration(entry) == last);
    CHECK_PUT_REFUSED(kv.ns, put_options(last + 1, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(now * 1000, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(INT64_MAX, 0, NULL), LUAT_KV_INVALID);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, last, NULL), LUAT_KV_INVALID);
    luat_kv_entry_free(entry);
    kv_close(kv);
}

/* Unix seconds, rounded up, by a clock that does not lag as time() does. */
static int64_t next_second(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec + (now.tv_nsec > 0);
}

static void a_ttl_wins_over_an_expiration(void)
{
    struct kv kv = open_default();
    int64_t before = next_second();
    CHECK_STATUS(put_with(kv.ns, "key", put_options(before + 5000, 1000, NULL), &error), LUAT_KV_OK);
    CHECK_STATUS(put_with(kv.ns, "past", put_options(1, 1000, NULL), &error), LUAT_KV_OK);
    int64_t after = next_second();
    luat_kv_entry *key = entry_of(kv.ns, "key"), *past = entry_of(kv.ns, "past");
    CHECK(luat_kv_entry_expiration(key) >= before + 1000 && luat_kv_entry_expiration(key) <= after + 1000);
    CHECK(luat_kv_entry_expiration(past) >= before + 1000 && luat_kv_entry_expiration(past) <= after + 1000);
    luat_kv_entry_free(key);
    luat_kv_entry_free(past);
    kv_close(kv);
}

/* ---- Limits */

/* Text of a length: a JSON string, for that matter. */
static luat_kv_bytes text_of(size_t len)
{
    static char text[64 * 1024 + 2];
    memset(text, 'x', sizeof text);
    text[0] = text[len - 1] = '"';
    return (luat_kv_bytes){ (const uint8_t *)text, len };
}

static luat_kv_status put_metadata(luat_kv_namespace *ns, luat_kv_bytes metadata, luat_kv_error **error)
{
    luat_kv_put_options options = put_options(0, 0, NULL);
    options.metadata = metadata;
    return luat_kv_put(ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("value"), &options, error);
}

static luat_kv_status list_prefix(luat_kv_namespace *ns, luat_kv_bytes prefix, luat_kv_error **error)
{
    luat_kv_list_options options;
    luat_kv_page *page = NULL;
    luat_kv_list_options_init(&options, sizeof options);
    options.prefix = prefix;
    luat_kv_status status = luat_kv_list(ns, &options, &page, error);
    luat_kv_page_free(page);
    return status;
}

/* The longest key in the namespace "test". On a server the two share a limit. */
static size_t key_limit(size_t limit)
{
    size_t shared = 2600 - strlen("test");
    return backend == POSTGRES && limit > shared ? shared : limit;
}

static void check_name_limit(struct kv kv, size_t limit)
{
    luat_kv_bytes fits = text_of(limit), over = { fits.data, limit + 1 };
    luat_kv_namespace *ns = NULL;
    size_t key = key_limit(limit);
    CHECK_STATUS(luat_kv_put(kv.ns, fits.data, key, LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_delete(kv.ns, fits.data, key, &error), LUAT_KV_OK);
    if (key == limit)
        check_refused_key(kv.ns, over.data, over.len, LUAT_KV_LIMIT);
    else
        CHECK_STATUS(luat_kv_put(kv.ns, fits.data, key + 1, LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_LIMIT);
    CHECK_STATUS(list_prefix(kv.ns, fits, &error), LUAT_KV_OK);
    CHECK_STATUS(list_prefix(kv.ns, over, &error), LUAT_KV_LIMIT);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, fits.data, fits.len, &ns, &error), LUAT_KV_OK);
    luat_kv_namespace_free(ns);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, over.data, over.len, &ns, &error), LUAT_KV_LIMIT);
    CHECK(ns == NULL);
}

static void check_metadata_limit(struct kv kv, size_t limit)
{
    CHECK_STATUS(put_metadata(kv.ns, text_of(limit), &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_STATUS(put_metadata(kv.ns, text_of(limit + 1), &error), LUAT_KV_LIMIT);
    CHECK_VALUE(kv.ns, "key", "as before");
}

/* A value over the limit is refused without being read: there is nothing to read in this one. */
static void check_value_too_long(struct kv kv, size_t limit, const char *number)
{
    int zero = open("/dev/zero", O_RDONLY);
    uint8_t *value = mmap(NULL, limit + 1, PROT_NONE, MAP_PRIVATE, zero, 0);
    CHECK(value != MAP_FAILED);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), value, limit + 1, NULL, &error), LUAT_KV_LIMIT, number);
    CHECK_VALUE(kv.ns, "key", "as before");
    munmap(value, limit + 1);
    close(zero);
}

static void default_limits(void)
{
    struct kv kv = open_default();
    check_name_limit(kv, 4096);
    check_metadata_limit(kv, 65536);
    check_value_too_long(kv, 536870912, "536870913");
    kv_close(kv);
}

static void cloudflare_limits(void)
{
    enum { MOST = 26214400 };
    struct kv kv = open_cloudflare();
    uint8_t *value = malloc(MOST), *copy = malloc(MOST);
    size_t len = 0;
    memset(value, 'v', MOST);
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("long"), value, MOST, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("long"), copy, MOST, &len, &error), LUAT_KV_OK);
    CHECK(len == MOST && memcmp(copy, value, MOST) == 0);
    free(value);
    free(copy);
    check_value_too_long(kv, MOST, "26214401");

    check_name_limit(kv, 512);
    check_metadata_limit(kv, 1024);
    check_refused_key(kv.ns, LUAT_KV_TEXT("."), LUAT_KV_INVALID);
    check_refused_key(kv.ns, LUAT_KV_TEXT(".."), LUAT_KV_INVALID);
    CHECK_PUT(kv.ns, "...", "more dots are a name");

    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_PUT_REFUSED(kv.ns, put_options(0, 59, NULL), LUAT_KV_LIMIT);
    CHECK_PUT_REFUSED(kv.ns, put_options(time(NULL) + 58, 0, NULL), LUAT_KV_LIMIT);
    CHECK_PUT_REFUSED(kv.ns, put_options(time(NULL) - 1, 0, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(put_with(kv.ns, "last", put_options(INT32_MAX, 0, NULL), &error), LUAT_KV_OK);
    CHECK_PUT_REFUSED(kv.ns, put_options(INT32_MAX + INT64_C(1), 0, NULL), LUAT_KV_LIMIT);
    CHECK_PUT_REFUSED(kv.ns, put_options(0, INT32_MAX, NULL), LUAT_KV_LIMIT);
    CHECK_STATUS(put_with(kv.ns, "ttl", put_options(0, 60, NULL), &error), LUAT_KV_OK);
    CHECK_STATUS(put_with(kv.ns, "end", put_options(time(NULL) + 61, 0, NULL), &error), LUAT_KV_OK);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(values_are_any_bytes),
    TEST(an_empty_value_is_a_value),
    TEST(keys_are_any_text),
    TEST(a_name_that_is_empty_or_not_utf8_is_refused),
    TEST(namespaces_do_not_see_each_other),
    TEST(a_missing_key_is_not_found),
    TEST(too_small_a_buffer_is_told_the_length),
    TEST(a_value_may_be_read_into_the_buffer_of_its_key),
    TEST(a_put_replaces_everything),
    TEST(metadata_is_any_json_but_null),
    TEST(metadata_nests_to_a_depth_of_128),
    TEST(an_expiration_lies_in_the_future),
    TEST(a_ttl_wins_over_an_expiration),
    TEST(default_limits),
    TEST(cloudflare_limits),
};

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
