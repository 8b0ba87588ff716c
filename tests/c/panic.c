/*
 * A bug in the library, provoked: it is returned as PANIC, has changed nothing, and the store remains usable. Linked
 * with the library that has the feature debug-hooks, in which every operation on the key "boom" panics in its midst.
 */
#include "backends.h"
#include "threads.h"

static luat_kv_namespace *shared;

static void each_call_comes_back(void)
{
    struct kv kv = open_default();
    char version[LUAT_KV_VERSION_SIZE];
    luat_kv_entry *entry = GARBAGE;
    uint8_t value[10];
    int64_t sum = 99;
    size_t len = 99;
    CHECK_PUT(kv.ns, "other", "before");
    for (int round = 0; round < 3; round++) {
        CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("value"), NULL, &error), LUAT_KV_PANIC,
                      "provoked");
        CHECK_REFUSED(luat_kv_add(kv.ns, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("value"), NULL, &error), LUAT_KV_PANIC,
                      "provoked");
        CHECK_STATUS(luat_kv_get(kv.ns, LUAT_KV_TEXT("boom"), value, sizeof value, &len, &error), LUAT_KV_PANIC);
        CHECK(len == 0);
        CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("boom"), &entry, &error), LUAT_KV_PANIC);
        CHECK(entry == NULL);
        CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("boom"), &error), LUAT_KV_PANIC);
        strcpy(version, "x");
        CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("value"), NULL, version, &error),
                     LUAT_KV_PANIC);
        CHECK(*version == '\0');
        CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("boom"), 1, NULL, &sum, &error), LUAT_KV_PANIC);
        CHECK(sum == 0);
        CHECK_VALUE(kv.ns, "other", "before");
    }
    CHECK(kv_count(kv.ns, "") == 1);
    CHECK_PUT(kv.ns, "other", "after");
    CHECK_VALUE(kv.ns, "other", "after");
    kv_close(kv);
}

static void without_an_error_object_too(void)
{
    struct kv kv = open_default();
    CHECK(luat_kv_put(kv.ns, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("value"), NULL, NULL) == LUAT_KV_PANIC);
    CHECK(kv_count(kv.ns, "") == 0);
    kv_close(kv);
}

static void a_batch_is_undone(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = NULL;
    CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("first"), LUAT_KV_TEXT("1"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("2"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("last"), LUAT_KV_TEXT("3"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_PANIC);
    CHECK(luat_kv_batch_version(batch, NULL) == NULL);
    CHECK(kv_count(kv.ns, "") == 0);
    CHECK_PUT(kv.ns, "first", "own");
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_PANIC);
    CHECK_VALUE(kv.ns, "first", "own");
    luat_kv_batch_free(batch);
    kv_close(kv);
}

static void put_and_panic(int number)
{
    char key[20];
    snprintf(key, sizeof key, "key %d", number);
    for (int round = 0; round < 20; round++) {
        CHECK_STATUS(luat_kv_put(shared, LUAT_KV_TEXT("boom"), LUAT_KV_TEXT("value"), NULL, &error), LUAT_KV_PANIC);
        CHECK_STATUS(luat_kv_put(shared, TEXT(key), LUAT_KV_TEXT("value"), NULL, &error), LUAT_KV_OK);
    }
}

static void other_threads_go_on(void)
{
    struct kv kv = open_default();
    shared = kv.ns;
    threads_run(THREADS, put_and_panic);
    CHECK(kv_count(kv.ns, "") == THREADS);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(each_call_comes_back),
    TEST(without_an_error_object_too),
    TEST(a_batch_is_undone),
    TEST(other_threads_go_on),
};

int main(void)
{
    CHECK(setenv("LUAT_KV_DEBUG_PANIC_KEY", "boom", 1) == 0);
    check_both_backends(tests);
    return check_done();
}
