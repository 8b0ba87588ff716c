/*
 * Misuse of the library, one kind at a time, selected by the first argument: defects that sanitizers must detect, also
 * within the library, if they work at all. Exits with 0 if nothing is detected.
 */
#include "../c/kv.h"
#include "../c/threads.h"

static struct kv kv;
static luat_kv_batch *batch;
static volatile int most = INT_MAX;

static void leak(void)
{
    CHECK(kv_entry(kv.ns, "key") != NULL);
}

static void use_after_free(void)
{
    luat_kv_entry *entry = kv_entry(kv.ns, "key");
    luat_kv_entry_free(entry);
    CHECK(luat_kv_entry_value(entry, NULL) != GARBAGE);
}

static void read_beyond(void)
{
    char *key = malloc(3);
    memcpy(key, "key", 3);
    luat_kv_put(kv.ns, (const uint8_t *)key, 4, LUAT_KV_TEXT("value"), NULL, NULL);
    free(key);
}

static void undefined(void)
{
    most++;
}

static void commit_batch(int number)
{
    (void)number;
    luat_kv_batch_commit(batch, NULL);
}

static void look_at_batch(int number)
{
    (void)number;
    for (int round = 0; round < 1000; round++)
        luat_kv_batch_version(batch, NULL);
}

static void race(void)
{
    struct thread threads[2];
    CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
    threads_start(&threads[0], 1, commit_batch);
    threads_start(&threads[1], 1, look_at_batch);
    threads_join(threads, 2);
    luat_kv_batch_free(batch);
}

static const struct check_test defects[] = {
    { "none", check_make_folder }, TEST(leak), TEST(use_after_free), TEST(read_beyond), TEST(undefined), TEST(race),
};

int main(int argc, char **argv)
{
    kv = kv_memory();
    CHECK_PUT(kv.ns, "key", "value");
    for (size_t at = 0; at < sizeof defects / sizeof *defects; at++)
        if (argc == 2 && strcmp(argv[1], defects[at].name) == 0)
            defects[at].run();
    kv_close(kv);
    return check_failures > 0;
}
