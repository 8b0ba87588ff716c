/*
 * The rules that every function follows (the header's preamble): NULLs, lengths, outputs, errors, and handles that are
 * freed in any order. (Options structs: test_options.c.)
 */
#include "kv.h"

#include <ctype.h>
#include <errno.h>
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
    CHECK_STATUS(luat_kv_namespace_open(NULL, LUAT_KV_TEXT("test"), &ns, &error), LUAT_KV_INVALID);
    CHECK(ns == NULL);

    struct kv kv = kv_memory();
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("test"), NULL, &error), LUAT_KV_INVALID);
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
    CHECK_STATUS(luat_kv_get(NULL, LUAT_KV_TEXT("key"), copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK(len == 0);
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), copy, sizeof copy, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, NULL, 0, copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, NULL, 3, copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get(kv.ns, TOO_LONG("key"), copy, sizeof copy, &len, &error), LUAT_KV_INVALID);
    len = 7;
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), NULL, 8, &len, &error), LUAT_KV_INVALID);
    CHECK(len == 0);
    CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), copy, SIZE_MAX, &len, &error), LUAT_KV_OK);
    CHECK(len == 5);

    CHECK_STATUS(luat_kv_get_entry(NULL, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_INVALID);
    CHECK(entry == NULL);
    CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("key"), NULL, &error), LUAT_KV_INVALID);
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
    luat_kv_put_options_init(&options, sizeof options);
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_STATUS(luat_kv_put(NULL, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, NULL, 0, LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, NULL, 3, LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, TOO_LONG("key"), LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), NULL, 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), TOO_LONG("x"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), (const uint8_t *)"x", SIZE_MAX, NULL, &error),
                 LUAT_KV_INVALID);
    options.metadata = (luat_kv_bytes){ NULL, 1 };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_INVALID);
    options.metadata = (luat_kv_bytes){ TOO_LONG("1") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_delete(NULL, LUAT_KV_TEXT("key"), &error), LUAT_KV_INVALID);
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
    luat_kv_list_options_init(&options, sizeof options);
    options.prefix = (luat_kv_bytes){ NULL, 1 };
    page = GARBAGE;
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    CHECK(page == NULL);
    options.prefix = (luat_kv_bytes){ TOO_LONG("p") };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    options.prefix = (luat_kv_bytes){ LUAT_KV_TEXT("\xff") };
    CHECK_STATUS(luat_kv_list(kv.ns, &options, &page, &error), LUAT_KV_INVALID);
    luat_kv_list_options_init(&options, sizeof options);
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
    luat_kv_iter_free(NULL);
    luat_kv_close(NULL);
    luat_kv_store_limits(NULL, NULL, 99);
    luat_kv_open_options_init(NULL, 99);
    luat_kv_put_options_init(NULL, 99);
    luat_kv_list_options_init(NULL, 99);
    luat_kv_incr_options_init(NULL, 99);
    CHECK_NO_VIEW(luat_kv_entry_key, NULL);
    CHECK_NO_VIEW(luat_kv_entry_value, NULL);
    CHECK_NO_VIEW(luat_kv_entry_metadata, NULL);
    CHECK_NO_VIEW(luat_kv_entry_version, NULL);
    CHECK_NO_VIEW(luat_kv_page_cursor, NULL);
    CHECK(luat_kv_entry_expiration(NULL) == 0);
    CHECK(luat_kv_page_len(NULL) == 0);
    CHECK(luat_kv_page_at(NULL, 0) == NULL);
    CHECK(luat_kv_error_status(NULL) == LUAT_KV_OK);
    CHECK(luat_kv_error_errno(NULL) == 0);
    CHECK(strcmp(luat_kv_error_message(NULL), "") == 0);
}

/* ---- Statuses, errors, versions */

static void every_status_has_its_name(void)
{
    static const struct {
        luat_kv_status status;
        const char *name;
    } all[] = {
        { LUAT_KV_OK, "OK" }, { LUAT_KV_NOT_FOUND, "NOT_FOUND" }, { LUAT_KV_CONFLICT, "CONFLICT" },
        { LUAT_KV_TOO_SMALL, "TOO_SMALL" }, { LUAT_KV_TIMEOUT, "TIMEOUT" }, { LUAT_KV_INVALID, "INVALID" }, { LUAT_KV_IO, "IO" },
        { LUAT_KV_BUSY, "BUSY" }, { LUAT_KV_CORRUPT, "CORRUPT" }, { LUAT_KV_READONLY, "READONLY" },
        { LUAT_KV_LIMIT, "LIMIT" }, { LUAT_KV_NOMEM, "NOMEM" }, { LUAT_KV_PANIC, "PANIC" },
        { LUAT_KV_INTERNAL, "INTERNAL" }, { 5, "UNKNOWN" }, { -10, "UNKNOWN" }, { INT32_MAX, "UNKNOWN" },
        { INT32_MIN, "UNKNOWN" },
    };
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        CHECK(strcmp(luat_kv_status_str(all[at].status), all[at].name) == 0);
    CHECK(LUAT_KV_OK == 0 && LUAT_KV_NOT_FOUND == 1 && LUAT_KV_CONFLICT == 2 && LUAT_KV_TOO_SMALL == 3);
    CHECK(LUAT_KV_TIMEOUT == 4);
    CHECK(LUAT_KV_INVALID == -1 && LUAT_KV_INTERNAL == -9);
}

static void an_error_is_an_object_of_its_own(void)
{
    struct kv kv = kv_memory();
    luat_kv_error *first = GARBAGE, *second = GARBAGE, *none = GARBAGE;
    CHECK(luat_kv_put(kv.ns, LUAT_KV_TEXT(""), LUAT_KV_TEXT("x"), NULL, &first) == LUAT_KV_INVALID);
    CHECK(luat_kv_put(kv.ns, LUAT_KV_TEXT("k\0\xff"), LUAT_KV_TEXT("x"), NULL, &second) == LUAT_KV_INVALID);
    CHECK(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), NULL, &none) == LUAT_KV_OK);
    CHECK(none == NULL && first != second);
    kv_close(kv);
    CHECK(luat_kv_error_status(first) == LUAT_KV_INVALID && luat_kv_error_status(second) == LUAT_KV_INVALID);
    CHECK(strlen(luat_kv_error_message(first)) > 0 && strlen(luat_kv_error_message(second)) > 0);
    CHECK(strcmp(luat_kv_error_message(first), luat_kv_error_message(second)) != 0);
    luat_kv_error_free(second);
    luat_kv_error_free(first);
}

static void an_error_has_the_number_of_the_system(void)
{
    luat_kv_store *store = NULL;
    luat_kv_error *missing = NULL, *wrong = NULL;
    luat_kv_open_options options = kv_open_options(LUAT_KV_OPEN_READONLY, 0);
    CHECK(luat_kv_open(scratch("missing.db"), &options, &store, &missing) == LUAT_KV_IO);
    CHECK(luat_kv_error_errno(missing) == ENOENT);
    CHECK(luat_kv_open("", NULL, &store, &wrong) == LUAT_KV_INVALID);
    CHECK(luat_kv_error_errno(wrong) == 0);
    luat_kv_error_free(missing);
    luat_kv_error_free(wrong);
}

static void an_error_may_be_of_no_interest(void)
{
    struct kv kv = kv_memory();
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT(""), LUAT_KV_TEXT("x"), NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("key"), NULL, NULL), LUAT_KV_INVALID);
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
        CHECK_STATUS(luat_kv_namespace_open(kvs[which].store, LUAT_KV_TEXT("other"), &other, &error), LUAT_KV_OK);
        luat_kv_close(kvs[which].store);
        CHECK_PUT(ns, "key", "value"); /* the store lives on for its namespaces */
        CHECK_PUT(other, "key", "another");
        CHECK_STATUS(luat_kv_get_entry(ns, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_list(ns, NULL, &page, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_get_many(ns, &(luat_kv_bytes){ LUAT_KV_TEXT("key") }, 1, &many, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_put(batch, ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("value"), NULL, &error),
                     LUAT_KV_OK);
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
    CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_list(kv.ns, NULL, &page, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "key", "another");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
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
    luat_kv_put_options_init(&options, sizeof options);
    options.metadata = (luat_kv_bytes){ TEXT(metadata) };
    CHECK_STATUS(luat_kv_namespace_open(kv.store, TEXT(name), &ns, &error), LUAT_KV_OK);
    memset(name, 'x', 4);
    CHECK_STATUS(luat_kv_put(ns, TEXT(key), TEXT(value), &options, &error), LUAT_KV_OK);
    memset(key, 'x', 3), memset(value, 'x', 5), memset(metadata, 'x', 3);
    CHECK_VALUE(ns, "key", "value");
    luat_kv_namespace_free(ns);
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("name"), &ns, &error), LUAT_KV_OK);
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
    TEST(every_status_has_its_name),
    TEST(an_error_is_an_object_of_its_own),
    TEST(an_error_has_the_number_of_the_system),
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
