/*
 * Options structs: their _init functions, sizes of other versions of the library, and fields without a meaning.
 */
#include "kv.h"

#include <stddef.h>

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
    luat_kv_open_options_init(&open, sizeof open);
    luat_kv_put_options_init(&put, sizeof put);
    luat_kv_list_options_init(&list, sizeof list);
    luat_kv_incr_options_init(&incr, sizeof incr);
    CHECK(memcmp(&open, &open_zero, sizeof open) == 0);
    CHECK(memcmp(&put, &put_zero, sizeof put) == 0);
    CHECK(memcmp(&list, &list_zero, sizeof list) == 0);
    CHECK(memcmp(&incr, &incr_zero, sizeof incr) == 0);
}

/* A program may have been compiled with fewer fields than the library knows, or with more. */
static void init_writes_as_much_as_it_is_told(void)
{
    union { luat_kv_put_options known; uint8_t bytes[5000]; } options;
    static const size_t sizes[] = { sizeof(uint32_t), offsetof(luat_kv_put_options, expiration_ttl),
                                    sizeof(luat_kv_put_options), sizeof(luat_kv_put_options) + 24, 4096 };
    struct kv kv = kv_memory();
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        memset(&options, 0xaa, sizeof options);
        luat_kv_put_options_init(&options.known, sizes[at]);
        CHECK(options.known.struct_size == sizes[at]);
        for (size_t byte = sizeof(uint32_t); byte < sizeof options; byte++)
            CHECK(options.bytes[byte] == (byte < sizes[at] ? 0 : 0xaa));
        CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options.known, &error), LUAT_KV_OK);
    }
    kv_close(kv);
}

static void init_takes_no_size_that_is_none(void)
{
    union { luat_kv_put_options known; uint8_t bytes[64]; } options;
    struct kv kv = kv_memory();
    memset(&options, 0xaa, sizeof options);
    luat_kv_put_options_init(&options.known, 0);
    luat_kv_put_options_init(&options.known, sizeof(uint32_t) - 1);
    luat_kv_put_options_init(NULL, sizeof(luat_kv_put_options));
    for (size_t byte = 0; byte < sizeof options; byte++)
        CHECK(options.bytes[byte] == 0xaa);
    luat_kv_put_options_init(&options.known, SIZE_MAX);
    CHECK(options.known.struct_size == 0 && options.bytes[sizeof(uint32_t)] == 0xaa);
    CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options.known, &error), LUAT_KV_INVALID,
                  "struct_size");
    kv_close(kv);
}

/* ---- Limits, which are written and not read */

static luat_kv_limits limits_of(luat_kv_store *store)
{
    luat_kv_limits limits;
    memset(&limits, 0xff, sizeof limits);
    luat_kv_store_limits(store, &limits, sizeof limits);
    CHECK(limits.struct_size == sizeof limits);
    return limits;
}

static void limits_are_those_of_the_store(void)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    luat_kv_open_options_init(&options, sizeof options);
    options.limits = LUAT_KV_LIMITS_CLOUDFLARE;
    CHECK_STATUS(luat_kv_open_memory(&options, &store, &error), LUAT_KV_OK);
    luat_kv_limits limits = limits_of(store);
    CHECK(limits.max_key_len == 512 && limits.max_value_len == 25 << 20 && limits.max_metadata_len == 1024);
    CHECK(limits.max_keys == 100 && limits.max_page_len == 1000);
    CHECK(limits.min_ttl == 60 && limits.max_expiration == INT32_MAX);
    luat_kv_close(store);

    struct kv kv = kv_open(scratch("kv.db"));
    limits = limits_of(kv.store);
    CHECK(limits.max_key_len == 4096 && limits.max_value_len == 512 << 20 && limits.max_metadata_len == 64 << 10);
    CHECK(limits.max_keys == 10000 && limits.max_page_len == 10000);
    CHECK(limits.min_ttl == 1 && limits.max_expiration == 253402300799);
    luat_kv_limits defaults = limits_of(NULL);
    CHECK(memcmp(&limits, &defaults, sizeof limits) == 0);
    kv_close(kv);
}

static void limits_are_written_as_far_as_the_caller_knows_them(void)
{
    union { luat_kv_limits known; uint8_t bytes[200]; } limits;
    const luat_kv_limits whole = limits_of(NULL);
    for (size_t size = 0; size < sizeof limits; size++) {
        memset(&limits, 0xaa, sizeof limits);
        luat_kv_store_limits(NULL, &limits.known, size);
        size_t written = size < sizeof(uint32_t) ? 0 : size;
        CHECK(written == 0 || limits.known.struct_size == size);
        for (size_t byte = written ? sizeof(uint32_t) : 0; byte < sizeof limits; byte++) {
            uint8_t expected = byte >= written ? 0xaa : 0;
            if (byte < written && byte < sizeof whole)
                expected = ((const uint8_t *)&whole)[byte];
            CHECK(limits.bytes[byte] == expected);
        }
    }
    luat_kv_store_limits(NULL, &limits.known, SIZE_MAX);
    CHECK(limits.known.struct_size == 0);
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
#define PUT(status) CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options.known, &error), \
    status)
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
#define INCR(status) CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, &options.known, &sum, &error), status)
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
    luat_kv_open_options_init(&open, sizeof open);
    uint32_t *const fields[] = { &open.flags, &open.limits, &open.durability, &open.reserved };
    for (size_t at = 0; at < sizeof fields / sizeof *fields; at++) {
        *fields[at] = 1 << 7;
        CHECK_STATUS(open_with(&open, &error), LUAT_KV_INVALID);
        *fields[at] = UINT32_MAX;
        CHECK_STATUS(open_with(&open, &error), LUAT_KV_INVALID);
        *fields[at] = 0;
    }
    CHECK_STATUS(open_with(&open, &error), LUAT_KV_OK);
    luat_kv_put_options_init(&put, sizeof put);
    put.flags = 1;
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &put, &error), LUAT_KV_INVALID);
    luat_kv_list_options_init(&list, sizeof list);
    list.flags = 4;
    CHECK_STATUS(luat_kv_list(kv.ns, &list, &page, &error), LUAT_KV_INVALID);
    list.flags = 0;
    list.reserved = 1;
    CHECK_STATUS(luat_kv_list(kv.ns, &list, &page, &error), LUAT_KV_INVALID);
    CHECK_MISSING(kv.ns, "key");
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(init_writes_the_size_and_zeros),
    TEST(init_writes_as_much_as_it_is_told),
    TEST(init_takes_no_size_that_is_none),
    TEST(limits_are_those_of_the_store),
    TEST(limits_are_written_as_far_as_the_caller_knows_them),
    TEST(open_options_of_any_size),
    TEST(put_options_of_any_size),
    TEST(list_options_of_any_size),
    TEST(incr_options_of_any_size),
    TEST(what_means_nothing_is_refused),
};

int main(void)
{
    check_tests("", tests);
    return check_done();
}
