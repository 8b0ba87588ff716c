/*
 * The rules that every function keeps (the header's preamble): NULLs, lengths, outputs, options structs, errors, and
 * handles that are freed in any order.
 */
#include "kv.h"

#include <ctype.h>
#include <stddef.h>

/* A pointer with the first length that no object in memory can have. */
#define TOO_LONG(literal) (const uint8_t *)(literal), (size_t)PTRDIFF_MAX + 1

/* ---- NULL, and lengths that cannot be */

static void a_store_needs_its_arguments(void)
{
    luat_kv_store *store = GARBAGE;
    luat_kv_namespace *ns = GARBAGE;
    uint64_t removed = 7;
    CHECK_STATUS(luat_kv_open(NULL, NULL, &store, &error), LUAT_KV_INVALID);
    CHECK(store == NULL);
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), NULL, NULL, &error), LUAT_KV_INVALID);
    CHECK(access(scratch("kv.db"), F_OK) != 0);
    CHECK_STATUS(luat_kv_open_project(scratch(""), NULL, NULL, &error), LUAT_KV_INVALID);
    CHECK(access(scratch(".luat"), F_OK) != 0);
    CHECK_STATUS(luat_kv_open_memory(NULL, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_sweep(NULL, 0, &removed, &error), LUAT_KV_INVALID);
    CHECK(removed == 0);
    CHECK_STATUS(luat_kv_namespace_open(NULL, BYTES("test"), &ns, &error), LUAT_KV_INVALID);
    CHECK(ns == NULL);

    struct kv kv = kv_memory();
    CHECK_STATUS(luat_kv_namespace_open(kv.store, BYTES("test"), NULL, &error), LUAT_KV_INVALID);
    ns = GARBAGE;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, NULL, 0, &ns, &error), LUAT_KV_INVALID);
    CHECK(ns == NULL);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, NULL, 4, &ns, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, TOO_LONG("test"), &ns, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_sweep(kv.store, 0, NULL, &error), LUAT_KV_OK);
    kv_close(kv);
}

static void a_read_needs_its_arguments(void)
{
    struct kv kv = kv_memory();
    luat_kv_entry *entry = GARBAGE;
    size_t len = 7;
    uint8_t copy[8];
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_get(NULL, BYTES("key"), copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK(len == 0);
    CHECK_STATUS(luat_kv_get(kv.ns, BYTES("key"), copy, sizeof copy, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, NULL, 0, copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, NULL, 3, copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, TOO_LONG("key"), copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    len = 7;
    CHECK_STATUS(luat_kv_get(kv.ns, BYTES("key"), NULL, 8, &len, &error), LUAT_KV_INVALID);
    CHECK(len == 0);
    CHECK_STATUS(luat_kv_get(kv.ns, BYTES("key"), copy, SIZE_MAX, &len, &error), LUAT_KV_OK);
    CHECK(len == 5);

    CHECK_STATUS(luat_kv_get_entry(NULL, BYTES("key"), &entry, &error), LUAT_KV_INVALID);
    CHECK(entry == NULL);
    CHECK_STATUS(luat_kv_get_entry(kv.ns, BYTES("key"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_entry(kv.ns, NULL, 0, &entry, &error), LUAT_KV_INVALID);
    entry = GARBAGE;
    CHECK_STATUS(luat_kv_get_entry(kv.ns, NULL, SIZE_MAX, &entry, &error), LUAT_KV_INVALID);
    CHECK(entry == NULL);
    kv_close(kv);
}

static void a_write_needs_its_arguments(void)
{
    struct kv kv = kv_memory();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_STATUS(luat_kv_put(NULL, BYTES("key"), BYTES("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, NULL, 0, BYTES("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, NULL, 3, BYTES("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, TOO_LONG("key"), BYTES("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), NULL, 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), TOO_LONG("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), (const uint8_t *)"x", SIZE_MAX, NULL, &error), LUAT_KV_INVALID);
    options.metadata = (luat_kv_bytes){ NULL, 1 };
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), BYTES("x"), &options, &error), LUAT_KV_INVALID);
    options.metadata = (luat_kv_bytes){ TOO_LONG("1") };
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), BYTES("x"), &options, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete(NULL, BYTES("key"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete(kv.ns, NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete(kv.ns, NULL, 3, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete(kv.ns, TOO_LONG("key"), &error), LUAT_KV_INVALID);
    CHECK_VALUE(kv.ns, "key", "as before");
    kv_close(kv);
}

static void a_list_needs_its_arguments(void)
{
    struct kv kv = kv_memory();
    luat_kv_list_options options;
    luat_kv_page *page = GARBAGE;
    CHECK_STATUS(luat_kv_list(NULL, NULL, &page, &error), LUAT_KV_INVALID);
    CHECK(page == NULL);
    CHECK_STATUS(luat_kv_list(kv.ns, NULL, NULL, &error), LUAT_KV_INVALID);
    luat_kv_list_options_init(&options);
    options.prefix = (luat_kv_bytes){ NULL, 1 };
    page = GARBAGE;
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    CHECK(page == NULL);
    options.prefix = (luat_kv_bytes){ TOO_LONG("p") };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    options.prefix = (luat_kv_bytes){ BYTES("\xff") };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    luat_kv_list_options_init(&options);
    options.cursor = (luat_kv_bytes){ NULL, 1 };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    options.cursor = (luat_kv_bytes){ TOO_LONG("c") };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    kv_close(kv);
}

static void null_is_harmless_to_free_and_to_ask(void)
{
    luat_kv_error_free(NULL);
    luat_kv_entry_free(NULL);
    luat_kv_page_free(NULL);
    luat_kv_namespace_free(NULL);
    luat_kv_close(NULL);
    luat_kv_open_options_init(NULL);
    luat_kv_put_options_init(NULL);
    luat_kv_list_options_init(NULL);
    luat_kv_incr_options_init(NULL);
    CHECK_NO_VIEW(luat_kv_entry_key, NULL);
    CHECK_NO_VIEW(luat_kv_entry_value, NULL);
    CHECK_NO_VIEW(luat_kv_entry_metadata, NULL);
    CHECK_NO_VIEW(luat_kv_entry_version, NULL);
    CHECK_NO_VIEW(luat_kv_page_cursor, NULL);
    CHECK(luat_kv_entry_expiration(NULL) == 0);
    CHECK(luat_kv_page_len(NULL) == 0);
    CHECK(luat_kv_page_at(NULL, 0) == NULL);
    CHECK(luat_kv_error_status(NULL) == LUAT_KV_OK);
    CHECK(strcmp(luat_kv_error_message(NULL), "") == 0);
}

/* ---- Options structs */

static void init_writes_the_size_and_zeros(void)
{
    luat_kv_open_options open, open_zero;
    luat_kv_put_options put, put_zero;
    luat_kv_list_options list, list_zero;
    luat_kv_incr_options incr, incr_zero;
    memset(&open, 0xff, sizeof open), memset(&open_zero, 0, sizeof open_zero);
    memset(&put, 0xff, sizeof put), memset(&put_zero, 0, sizeof put_zero);
    memset(&list, 0xff, sizeof list), memset(&list_zero, 0, sizeof list_zero);
    memset(&incr, 0xff, sizeof incr), memset(&incr_zero, 0, sizeof incr_zero);
    open_zero.struct_size = sizeof open;
    put_zero.struct_size = sizeof put;
    list_zero.struct_size = sizeof list;
    incr_zero.struct_size = sizeof incr;
    luat_kv_open_options_init(&open);
    luat_kv_put_options_init(&put);
    luat_kv_list_options_init(&list);
    luat_kv_incr_options_init(&incr);
    CHECK(memcmp(&open, &open_zero, sizeof open) == 0);
    CHECK(memcmp(&put, &put_zero, sizeof put) == 0);
    CHECK(memcmp(&list, &list_zero, sizeof list) == 0);
    CHECK(memcmp(&incr, &incr_zero, sizeof incr) == 0);
}

/* An options struct as a future version may have it. */
#define LONGER(type) struct { type known; uint8_t more[24]; }

static luat_kv_status open_with(const luat_kv_open_options *options, luat_kv_error **error)
{
    luat_kv_store *store = GARBAGE;
    luat_kv_status status = luat_kv_open_memory(options, &store, error);
    CHECK((store == NULL) == (status != LUAT_KV_OK));
    luat_kv_close(store);
    return status;
}

static void open_options_of_any_size(void)
{
    static const uint32_t absurd[] = { 0, 3, 1 << 20, UINT32_MAX };
    LONGER(luat_kv_open_options) options;
    memset(&options, 0, sizeof options);
    for (size_t at = 0; at < sizeof absurd / sizeof *absurd; at++) {
        options.known.struct_size = absurd[at];
        CHECK_REFUSED(open_with(&options.known, &error), LUAT_KV_INVALID, "struct_size");
    }
    options.known.struct_size = sizeof options;
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_OK);
    options.more[23] = 1;
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_INVALID);
    options.known.struct_size = sizeof options - 1;
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_OK);

    /* What lies behind a shorter struct is none of its fields. */
    memset(&options, 0xff, sizeof options);
    options.known.struct_size = offsetof(luat_kv_open_options, flags);
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_OK);
    options.known.flags = 0;
    options.known.struct_size = offsetof(luat_kv_open_options, limits);
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_OK);
    options.known.struct_size = offsetof(luat_kv_open_options, durability);
    CHECK_STATUS(open_with(&options.known, &error), LUAT_KV_INVALID);
}

static void put_options_of_any_size(void)
{
    struct kv kv = kv_memory();
    LONGER(luat_kv_put_options) options;
    memset(&options, 0, sizeof options);
#define PUT(status) CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), BYTES("x"), &options.known, &error), status)
    PUT(LUAT_KV_INVALID);
    options.known.struct_size = 3;
    PUT(LUAT_KV_INVALID);
    options.known.struct_size = sizeof options;
    PUT(LUAT_KV_OK);
    options.more[0] = 1;
    PUT(LUAT_KV_INVALID);
    options.known.struct_size = sizeof options.known;
    PUT(LUAT_KV_OK);
    memset(&options, 0xff, sizeof options);
    options.known.flags = 0;
    options.known.struct_size = offsetof(luat_kv_put_options, expiration);
    PUT(LUAT_KV_OK);
    options.known.struct_size = offsetof(luat_kv_put_options, expiration_ttl);
    PUT(LUAT_KV_INVALID); /* the expiration is -1 */
#undef PUT
    kv_close(kv);
}

static void list_options_of_any_size(void)
{
    struct kv kv = kv_memory();
    LONGER(luat_kv_list_options) options;
    luat_kv_page *page = NULL;
    memset(&options, 0, sizeof options);
#define LIST(status) \
    do { \
        CHECK_STATUS(luat_kv_list(kv.ns, &options.known, &page, &error), status); \
        luat_kv_page_free(page); \
    } while (0)
    LIST(LUAT_KV_INVALID);
    options.known.struct_size = 3;
    LIST(LUAT_KV_INVALID);
    options.known.struct_size = sizeof options;
    LIST(LUAT_KV_OK);
    options.more[0] = 1;
    LIST(LUAT_KV_INVALID);
    memset(&options, 0xff, sizeof options);
    options.known.flags = 0;
    options.known.struct_size = offsetof(luat_kv_list_options, limit);
    LIST(LUAT_KV_OK);
    options.known.struct_size = offsetof(luat_kv_list_options, reserved);
    LIST(LUAT_KV_LIMIT);

    /* One from before there were bounds is as it was. */
    CHECK_PUT(kv.ns, "key", "value");
    memset(&options, 0, offsetof(luat_kv_list_options, start));
    options.known.struct_size = offsetof(luat_kv_list_options, start);
    LIST(LUAT_KV_OK);
    CHECK_STATUS(luat_kv_list(kv.ns, &options.known, &page, &error), LUAT_KV_OK);
    CHECK(luat_kv_page_len(page) == 1);
    luat_kv_page_free(page);
    options.known.struct_size = offsetof(luat_kv_list_options, stop);
    LIST(LUAT_KV_INVALID);
#undef LIST
    kv_close(kv);
}

static void incr_options_of_any_size(void)
{
    struct kv kv = kv_memory();
    LONGER(luat_kv_incr_options) options;
    int64_t sum = 0;
    memset(&options, 0, sizeof options);
#define INCR(status) CHECK_STATUS(luat_kv_incr(kv.ns, BYTES("n"), 1, &options.known, &sum, &error), status)
    INCR(LUAT_KV_INVALID);
    options.known.struct_size = 3;
    INCR(LUAT_KV_INVALID);
    options.known.struct_size = sizeof options;
    INCR(LUAT_KV_OK);
    CHECK(sum == 1);
    options.more[23] = 1;
    INCR(LUAT_KV_INVALID);
    CHECK(sum == 0);
    memset(&options, 0xff, sizeof options);
    options.known.flags = 0;
    options.known.struct_size = offsetof(luat_kv_incr_options, expiration);
    INCR(LUAT_KV_OK);
    CHECK(sum == 2);
    options.known.struct_size = offsetof(luat_kv_incr_options, expiration_ttl);
    INCR(LUAT_KV_INVALID); /* the expiration is -1 */
#undef INCR
    kv_close(kv);
}

static void what_means_nothing_is_refused(void)
{
    struct kv kv = kv_memory();
    luat_kv_open_options open;
    luat_kv_put_options put;
    luat_kv_list_options list;
    luat_kv_page *page = NULL;
    luat_kv_open_options_init(&open);
    uint32_t *const fields[] = { &open.flags, &open.limits, &open.durability, &open.reserved };
    for (size_t at = 0; at < sizeof fields / sizeof *fields; at++) {
        *fields[at] = 4;
        CHECK_STATUS(open_with(&open, &error), LUAT_KV_INVALID);
        *fields[at] = UINT32_MAX;
        CHECK_STATUS(open_with(&open, &error), LUAT_KV_INVALID);
        *fields[at] = 0;
    }
    CHECK_STATUS(open_with(&open, &error), LUAT_KV_OK);
    luat_kv_put_options_init(&put);
    put.flags = 1;
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES("key"), BYTES("x"), &put, &error), LUAT_KV_INVALID);
    luat_kv_list_options_init(&list);
    list.flags = 4;
    CHECK_STATUS(luat_kv_list(kv.ns, &list, &page, &error), LUAT_KV_INVALID);
    list.flags = 0;
    list.reserved = 1;
    CHECK_STATUS(luat_kv_list(kv.ns, &list, &page, &error), LUAT_KV_INVALID);
    CHECK_MISSING(kv.ns, "key");
    kv_close(kv);
}

/* ---- Statuses, errors, versions */

static void every_status_has_its_name(void)
{
    static const struct {
        luat_kv_status status;
        const char *name;
    } all[] = {
        { LUAT_KV_OK, "OK" }, { LUAT_KV_NOT_FOUND, "NOT_FOUND" }, { LUAT_KV_CONFLICT, "CONFLICT" },
        { LUAT_KV_TOO_SMALL, "TOO_SMALL" }, { LUAT_KV_INVALID, "INVALID" }, { LUAT_KV_IO, "IO" },
        { LUAT_KV_BUSY, "BUSY" }, { LUAT_KV_CORRUPT, "CORRUPT" }, { LUAT_KV_READONLY, "READONLY" },
        { LUAT_KV_LIMIT, "LIMIT" }, { LUAT_KV_NOMEM, "NOMEM" }, { LUAT_KV_PANIC, "PANIC" },
        { LUAT_KV_INTERNAL, "INTERNAL" }, { 4, "UNKNOWN" }, { -10, "UNKNOWN" }, { INT32_MAX, "UNKNOWN" },
        { INT32_MIN, "UNKNOWN" },
    };
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        CHECK(strcmp(luat_kv_status_str(all[at].status), all[at].name) == 0);
    CHECK(LUAT_KV_OK == 0 && LUAT_KV_NOT_FOUND == 1 && LUAT_KV_CONFLICT == 2 && LUAT_KV_TOO_SMALL == 3);
    CHECK(LUAT_KV_INVALID == -1 && LUAT_KV_INTERNAL == -9);
}

static void an_error_is_an_object_of_its_own(void)
{
    struct kv kv = kv_memory();
    luat_kv_error *first = GARBAGE, *second = GARBAGE, *none = GARBAGE;
    CHECK(luat_kv_put(kv.ns, BYTES(""), BYTES("x"), NULL, &first) == LUAT_KV_INVALID);
    CHECK(luat_kv_put(kv.ns, BYTES("k\0\xff"), BYTES("x"), NULL, &second) == LUAT_KV_INVALID);
    CHECK(luat_kv_put(kv.ns, BYTES("key"), BYTES("x"), NULL, &none) == LUAT_KV_OK);
    CHECK(none == NULL && first != second);
    kv_close(kv);
    CHECK(luat_kv_error_status(first) == LUAT_KV_INVALID && luat_kv_error_status(second) == LUAT_KV_INVALID);
    CHECK(strlen(luat_kv_error_message(first)) > 0 && strlen(luat_kv_error_message(second)) > 0);
    CHECK(strcmp(luat_kv_error_message(first), luat_kv_error_message(second)) != 0);
    luat_kv_error_free(second);
    luat_kv_error_free(first);
}

static void an_error_may_be_of_no_interest(void)
{
    struct kv kv = kv_memory();
    CHECK_STATUS(luat_kv_put(kv.ns, BYTES(""), BYTES("x"), NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_entry(kv.ns, BYTES("key"), NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_list(NULL, NULL, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_open(NULL, NULL, NULL, NULL), LUAT_KV_INVALID);
    kv_close(kv);
}

static void the_versions_are_told(void)
{
    CHECK(luat_kv_abi_version() == LUAT_KV_ABI_VERSION);
    const char *version = luat_kv_version();
    CHECK(version && isdigit((unsigned char)*version) && strchr(version, '.') != strrchr(version, '.'));
}

/* ---- Lifetimes */

static void handles_are_freed_in_any_order(void)
{
    struct kv kvs[] = { kv_memory(), kv_open(scratch("kv.db")) };
    for (int which = 0; which < 2; which++) {
        luat_kv_namespace *ns = kvs[which].ns, *other = NULL;
        luat_kv_entry *entry = NULL;
        luat_kv_page *page = NULL, *many = NULL;
        luat_kv_batch *batch = NULL;
        CHECK_STATUS(luat_kv_batch_open(kvs[which].store, &batch, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_namespace_open(kvs[which].store, BYTES("other"), &other, &error), LUAT_KV_OK);
        luat_kv_close(kvs[which].store);
        CHECK_PUT(ns, "key", "value"); /* the store lives on for its namespaces */
        CHECK_PUT(other, "key", "another");
        CHECK_STATUS(luat_kv_get_entry(ns, BYTES("key"), &entry, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_list(ns, NULL, &page, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_get_many(ns, &(luat_kv_bytes){ BYTES("key") }, 1, &many, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_put(batch, ns, BYTES("key"), BYTES("value"), NULL, &error), LUAT_KV_OK);
        luat_kv_namespace_free(ns);
        CHECK_VALUE(other, "key", "another");
        luat_kv_namespace_free(other);
        CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK); /* and for its batches */
        luat_kv_batch_free(batch);
        CHECK_VIEW(luat_kv_entry_value, luat_kv_page_at(many, 0), "value");
        luat_kv_page_free(many);
        const luat_kv_entry *listed = luat_kv_page_at(page, 0);
        CHECK_VIEW(luat_kv_entry_value, entry, "value");
        CHECK_VIEW(luat_kv_entry_key, listed, "key");
        luat_kv_entry_free(entry);
        CHECK_VIEW(luat_kv_entry_key, listed, "key");
        luat_kv_page_free(page);
    }
    struct kv again = kv_open(scratch("kv.db"));
    CHECK_VALUE(again.ns, "key", "value");
    kv_close(again);
}

static void an_entry_is_as_it_was_read(void)
{
    struct kv kv = kv_memory();
    luat_kv_entry *entry = NULL;
    luat_kv_page *page = NULL;
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_get_entry(kv.ns, BYTES("key"), &entry, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_list(kv.ns, NULL, &page, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "key", "another");
    CHECK_STATUS(luat_kv_delete(kv.ns, BYTES("key"), &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_value, entry, "value");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "key");
    luat_kv_entry_free(entry);
    luat_kv_page_free(page);
    kv_close(kv);
}

static void inputs_are_borrowed_for_the_call_only(void)
{
    struct kv kv = kv_memory();
    char key[] = "key", value[] = "value", metadata[] = "[1]", name[] = "name";
    luat_kv_put_options options;
    luat_kv_namespace *ns = NULL;
    luat_kv_put_options_init(&options);
    options.metadata = (luat_kv_bytes){ TEXT(metadata) };
    CHECK_STATUS(luat_kv_namespace_open(kv.store, TEXT(name), &ns, &error), LUAT_KV_OK);
    memset(name, 'x', 4);
    CHECK_STATUS(luat_kv_put(ns, TEXT(key), TEXT(value), &options, &error), LUAT_KV_OK);
    memset(key, 'x', 3), memset(value, 'x', 5), memset(metadata, 'x', 3);
    CHECK_VALUE(ns, "key", "value");
    luat_kv_namespace_free(ns);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, BYTES("name"), &ns, &error), LUAT_KV_OK);
    CHECK_VALUE(ns, "key", "value");
    luat_kv_namespace_free(ns);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(a_store_needs_its_arguments),
    TEST(a_read_needs_its_arguments),
    TEST(a_write_needs_its_arguments),
    TEST(a_list_needs_its_arguments),
    TEST(null_is_harmless_to_free_and_to_ask),
    TEST(init_writes_the_size_and_zeros),
    TEST(open_options_of_any_size),
    TEST(put_options_of_any_size),
    TEST(list_options_of_any_size),
    TEST(incr_options_of_any_size),
    TEST(what_means_nothing_is_refused),
    TEST(every_status_has_its_name),
    TEST(an_error_is_an_object_of_its_own),
    TEST(an_error_may_be_of_no_interest),
    TEST(the_versions_are_told),
    TEST(handles_are_freed_in_any_order),
    TEST(an_entry_is_as_it_was_read),
    TEST(inputs_are_borrowed_for_the_call_only),
};

int main(void)
{
    check_tests("", tests);
    return check_done();
}
