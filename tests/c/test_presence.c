/*
 * Presence of keys, removal that reports, take, and writes that return their version, on both back ends.
 */
#include "backends.h"
#include "threads.h"

#include <time.h>

/* ---- has */

static void has_looks_for_live_keys(void)
{
    struct kv kv = open_default();
    luat_kv_namespace *other = NULL;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("other"), &other, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_NOT_FOUND);
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_PUT(kv.ns, "empty", "");
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("empty"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("key\0"), &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("ke"), &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_has(other, LUAT_KV_TEXT("key"), &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_NOT_FOUND);
    luat_kv_namespace_free(other);
    kv_close(kv);
}

/* ---- remove */

static void remove_reports_what_delete_does_not(void)
{
    struct kv kv = open_default();
    CHECK_STATUS(luat_kv_remove(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_NOT_FOUND);
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_PUT(kv.ns, "stays", "value");
    CHECK_STATUS(luat_kv_remove(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "key");
    CHECK_STATUS(luat_kv_remove(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "stays", "value");
    kv_close(kv);
}

/* ---- take */

static void take_gives_the_entry_and_removes_it(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_entry *entry = GARBAGE;
    const int64_t later = time(NULL) + 1000;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = later;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"a\":1}") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("v\0alue"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "empty", "");
    luat_kv_entry *before = kv_entry(kv.ns, "key");

    CHECK_STATUS(luat_kv_take(kv.ns, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "key");
    CHECK_VIEW(luat_kv_entry_key, entry, "key");
    CHECK_VIEW(luat_kv_entry_value, entry, "v\0alue");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "{\"a\":1}");
    CHECK(luat_kv_entry_expiration(entry) == later);
    CHECK(kv_same_version(before, entry));
    luat_kv_entry_free(before);
    luat_kv_entry_free(entry);

    entry = GARBAGE;
    CHECK_STATUS(luat_kv_take(kv.ns, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_NOT_FOUND);
    CHECK(entry == NULL);
    CHECK_STATUS(luat_kv_take(kv.ns, LUAT_KV_TEXT("empty"), &entry, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_value, entry, "");
    CHECK_NO_VIEW(luat_kv_entry_metadata, entry);
    CHECK(luat_kv_entry_expiration(entry) == 0);
    CHECK(kv_count(kv.ns, "") == 0);
    kv_close(kv);
    CHECK_VIEW(luat_kv_entry_key, entry, "empty"); /* it outlives the store */
    luat_kv_entry_free(entry);
}

enum { TAKEN = 40 };

static luat_kv_namespace *shared;
static int taken[TAKEN];

static void take_all(int number)
{
    (void)number;
    for (int which = 0; which < TAKEN; which++) {
        char key[20];
        luat_kv_entry *entry = NULL;
        luat_kv_error *error = NULL;
        snprintf(key, sizeof key, "k%d", which);
        luat_kv_status status = luat_kv_take(shared, TEXT(key), &entry, &error);
        CHECK(status == LUAT_KV_OK || status == LUAT_KV_NOT_FOUND);
        CHECK((status == LUAT_KV_OK) == (entry != NULL));
        if (entry)
            __sync_add_and_fetch(&taken[which], 1);
        luat_kv_error_free(error);
        luat_kv_entry_free(entry);
    }
}

static void one_caller_gets_the_entry(void)
{
    struct kv kv = open_default();
    memset(taken, 0, sizeof taken);
    kv_put_numbers(kv.ns, "k", TAKEN);
    shared = kv.ns;
    threads_run(THREADS, take_all);
    for (int which = 0; which < TAKEN; which++)
        CHECK(taken[which] == 1);
    CHECK(kv_count(kv.ns, "") == 0);
    kv_close(kv);
}

/* ---- Writes that give their version */

/* Is this the version that the key has, as text with a NUL? */
static bool is_version_of(luat_kv_namespace *ns, const char *key, const char *version)
{
    size_t len = 0;
    luat_kv_entry *entry = kv_entry(ns, key);
    const uint8_t *own = luat_kv_entry_version(entry, &len);
    bool same = own && len == LUAT_KV_VERSION_SIZE - 1 && strlen(version) == len && memcmp(own, version, len) == 0;
    luat_kv_entry_free(entry);
    return same;
}

static void put_versioned_gives_the_version_of_its_entry(void)
{
    struct kv kv = open_default();
    char first[LUAT_KV_VERSION_SIZE], second[LUAT_KV_VERSION_SIZE];
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("[1]") };
    memset(first, 'x', sizeof first);
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("1"), &options, first, &error),
                 LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "1");
    CHECK(is_version_of(kv.ns, "key", first));
    luat_kv_entry *entry = kv_entry(kv.ns, "key");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "[1]");
    luat_kv_entry_free(entry);

    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("1"), NULL, second, &error),
                 LUAT_KV_OK);
    CHECK(is_version_of(kv.ns, "key", second) && strcmp(first, second) != 0);
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("2"), NULL, NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "2");
    CHECK(!is_version_of(kv.ns, "key", second));
    kv_close(kv);
}

static void a_batch_checks_the_version_that_a_put_gave(void)
{
    struct kv kv = open_default();
    char version[LUAT_KV_VERSION_SIZE];
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("1"), NULL, version, &error),
                 LUAT_KV_OK);
    for (int round = 0; round < 2; round++) {
        luat_kv_batch *batch = NULL;
        CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_check(batch, kv.ns, LUAT_KV_TEXT("key"), TEXT(version), &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("2"), NULL, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_commit(batch, &error), round ? LUAT_KV_CONFLICT : LUAT_KV_OK);
        luat_kv_batch_free(batch);
    }
    kv_close(kv);
}

static void add_versioned_gives_one_where_it_stored(void)
{
    struct kv kv = open_default();
    char version[LUAT_KV_VERSION_SIZE], none[LUAT_KV_VERSION_SIZE] = "garbage";
    CHECK_STATUS(luat_kv_add_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("1"), NULL, version, &error),
                 LUAT_KV_OK);
    CHECK(is_version_of(kv.ns, "key", version));
    CHECK_STATUS(luat_kv_add_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("2"), NULL, none, &error),
                 LUAT_KV_CONFLICT);
    CHECK(strcmp(none, "") == 0);
    CHECK_STATUS(luat_kv_add_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("2"), NULL, NULL, &error),
                 LUAT_KV_CONFLICT);
    CHECK_VALUE(kv.ns, "key", "1");
    CHECK(is_version_of(kv.ns, "key", version));
    kv_close(kv);
}

static void what_is_refused_gives_no_version(void)
{
    struct kv kv = open_cloudflare();
    luat_kv_put_options options;
    char version[LUAT_KV_VERSION_SIZE] = "garbage";
    CHECK_PUT(kv.ns, "key", "as before");
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 59;
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options, version, &error),
                 LUAT_KV_LIMIT);
    CHECK(strcmp(version, "") == 0);
    strcpy(version, "garbage");
    CHECK_STATUS(luat_kv_add_versioned(kv.ns, LUAT_KV_TEXT(".."), LUAT_KV_TEXT("x"), NULL, version, &error),
                 LUAT_KV_INVALID);
    CHECK(strcmp(version, "") == 0);
    options.struct_size = 1;
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), &options, version, &error),
                 LUAT_KV_INVALID);
    CHECK_VALUE(kv.ns, "key", "as before");
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(has_looks_for_live_keys),
    TEST(remove_reports_what_delete_does_not),
    TEST(take_gives_the_entry_and_removes_it),
    TEST(one_caller_gets_the_entry),
    TEST(put_versioned_gives_the_version_of_its_entry),
    TEST(a_batch_checks_the_version_that_a_put_gave),
    TEST(add_versioned_gives_one_where_it_stored),
    TEST(what_is_refused_gives_no_version),
};

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
