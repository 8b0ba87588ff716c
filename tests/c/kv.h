/*
 * Helpers for common operations on a store.
 */
#ifndef KV_H
#define KV_H

#include "check.h"

/* A namespace in a store of its own. */
struct kv {
    luat_kv_store *store;
    luat_kv_namespace *ns;
};

/* Takes ownership of a store, which may be NULL after a failure, and opens its namespace "test". */
static inline struct kv kv_over(luat_kv_store *store)
{
    struct kv kv = { store, NULL };
    if (store)
        CHECK_STATUS(luat_kv_namespace_open(store, LUAT_KV_TEXT("test"), &kv.ns, &error), LUAT_KV_OK);
    return kv;
}

static inline struct kv kv_memory(void)
{
    luat_kv_store *store = NULL;
    CHECK_STATUS(luat_kv_open_memory(NULL, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

static inline luat_kv_open_options kv_open_options(uint32_t flags, uint32_t busy_timeout_ms)
{
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = flags;
    options.busy_timeout_ms = busy_timeout_ms;
    return options;
}

static inline struct kv kv_open(const char *path)
{
    luat_kv_store *store = NULL;
    CHECK_STATUS(luat_kv_open(path, NULL, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

static inline void kv_close(struct kv kv)
{
    luat_kv_namespace_free(kv.ns);
    luat_kv_close(kv.store);
}

/* ---- Keys and values that are C strings */

#define TEXT(string) (string), strlen(string)

static inline luat_kv_status kv_put(luat_kv_namespace *ns, const char *key, const char *value, luat_kv_error **error)
{
    return luat_kv_put(ns, TEXT(key), TEXT(value), NULL, error);
}

static inline luat_kv_status kv_delete(luat_kv_namespace *ns, const char *key, luat_kv_error **error)
{
    return luat_kv_delete(ns, TEXT(key), error);
}

/* ---- The contents of a key. Keys and values are literals. */

#define CHECK_PUT(ns, key, value) CHECK_STATUS(luat_kv_put(ns, LUAT_KV_TEXT(key), LUAT_KV_TEXT(value), NULL, &error), \
    LUAT_KV_OK)
#define CHECK_VALUE(ns, key, value) kv_check_value(ns, LUAT_KV_TEXT(key), LUAT_KV_TEXT(value), __FILE__, __LINE__)
#define CHECK_MISSING(ns, key) kv_check_missing(ns, LUAT_KV_TEXT(key), __FILE__, __LINE__)

/* Checks that both ways of reading return this value. */
static inline void kv_check_value(luat_kv_namespace *ns, const void *key, size_t key_len, const void *value,
                                  size_t value_len, const char *file, int line)
{
    luat_kv_entry *entry = GARBAGE;
    luat_kv_error *error = GARBAGE;
    size_t len = SIZE_MAX;
    uint8_t *copy = malloc(value_len + 1);
    check_status(luat_kv_get_entry(ns, key, key_len, &entry, &error), LUAT_KV_OK, error, "", "get_entry", file, line);
    if (entry) {
        const uint8_t *data = luat_kv_entry_value(entry, &len);
        check_bytes(data, len, value, value_len, file, line);
        data = luat_kv_entry_key(entry, &len);
        check_bytes(data, len, key, key_len, file, line);
    }
    luat_kv_entry_free(entry);
    error = GARBAGE;
    check_status(luat_kv_get(ns, key, key_len, copy, value_len + 1, &len, &error), LUAT_KV_OK, error, "", "get", file,
                 line);
    check_bytes(copy, len, value, value_len, file, line);
    free(copy);
}

/* Checks that both ways of reading find nothing, and set their outputs accordingly. */
static inline void kv_check_missing(luat_kv_namespace *ns, const void *key, size_t key_len, const char *file,
                                    int line)
{
    luat_kv_entry *entry = GARBAGE;
    luat_kv_error *error = GARBAGE;
    size_t len = SIZE_MAX;
    uint8_t copy[] = "untouched";
    check_status(luat_kv_get_entry(ns, key, key_len, &entry, &error), LUAT_KV_NOT_FOUND, error, "", "get_entry", file,
                 line);
    error = GARBAGE;
    check_status(luat_kv_get(ns, key, key_len, copy, sizeof copy, &len, &error), LUAT_KV_NOT_FOUND, error, "", "get",
                 file, line);
    if (entry != NULL || len != 0 || memcmp(copy, "untouched", sizeof copy) != 0)
        check_fail(file, line, "a missing key left an output that says otherwise");
}

/* ---- Versions */

static inline luat_kv_entry *kv_entry(luat_kv_namespace *ns, const char *key)
{
    luat_kv_entry *entry = NULL;
    CHECK_STATUS(luat_kv_get_entry(ns, TEXT(key), &entry, &error), LUAT_KV_OK);
    return entry;
}

static inline bool kv_same_version(const luat_kv_entry *a, const luat_kv_entry *b)
{
    size_t a_len = 0, b_len = 0;
    const uint8_t *a_version = luat_kv_entry_version(a, &a_len), *b_version = luat_kv_entry_version(b, &b_len);
    CHECK(a_len == 16 && b_len == 16);
    return a_version && b_version && a_len == b_len && memcmp(a_version, b_version, a_len) == 0;
}

/* ---- Many keys: PREFIX0, PREFIX1, ... */

static inline luat_kv_status kv_put_number(luat_kv_namespace *ns, const char *prefix, int number,
                                           luat_kv_error **error)
{
    char key[100];
    snprintf(key, sizeof key, "%s%d", prefix, number);
    return kv_put(ns, key, key, error);
}

static inline void kv_put_numbers(luat_kv_namespace *ns, const char *prefix, int count)
{
    for (int number = 0; number < count; number++)
        CHECK_STATUS(kv_put_number(ns, prefix, number, &error), LUAT_KV_OK);
}

/* Whether the key exists and its value is its own name. */
static inline bool kv_has_number(luat_kv_namespace *ns, const char *prefix, int number)
{
    char key[100];
    uint8_t value[100];
    size_t len = 0;
    snprintf(key, sizeof key, "%s%d", prefix, number);
    CHECK_STATUS(luat_kv_get(ns, TEXT(key), value, sizeof value, &len, &error), LUAT_KV_OK);
    return len == strlen(key) && memcmp(value, key, len) == 0;
}

static inline void kv_check_numbers(luat_kv_namespace *ns, const char *prefix, int count)
{
    for (int number = 0; number < count; number++)
        CHECK(kv_has_number(ns, prefix, number));
}

/* ---- Lists */

static inline luat_kv_list_options kv_list_options(const char *prefix, uint32_t limit)
{
    luat_kv_list_options options;
    luat_kv_list_options_init(&options, sizeof options);
    options.prefix.data = (const uint8_t *)prefix;
    options.prefix.len = strlen(prefix);
    options.limit = limit;
    return options;
}

/* The number of keys that begin with the prefix, over all pages. */
static inline size_t kv_count(luat_kv_namespace *ns, const char *prefix)
{
    luat_kv_list_options options = kv_list_options(prefix, 0);
    luat_kv_page *page = NULL;
    size_t count = 0;
    do {
        luat_kv_page *previous = page;
        CHECK_STATUS(luat_kv_list(ns, &options, &page, &error), LUAT_KV_OK);
        luat_kv_page_free(previous); /* the cursor was its */
        count += luat_kv_page_len(page);
        options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
    } while (options.cursor.data);
    luat_kv_page_free(page);
    return count;
}

#endif
