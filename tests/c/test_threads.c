/*
 * Any thread may use stores and namespaces at any time; entries, pages, batches, stats and errors move between threads.
 */
#include "backends.h"
#include "threads.h"

enum { ROUNDS = 200 };

/* What the threads of a test share. */
static struct kv shared;

static const char *prefix_of(int number)
{
    static const char *const prefixes[THREADS] = { "t0:", "t1:", "t2:", "t3:", "t4:", "t5:", "t6:", "t7:" };
    return prefixes[number];
}

/* ---- One namespace handle for all */

/* Each thread has its own keys, which no other thread may disturb, and all compete for one key. */
static void mix(int number)
{
    const char *prefix = prefix_of(number);
    char key[100], value[100];
    for (int round = 0; round < ROUNDS; round++) {
        size_t len = 0;
        CHECK_STATUS(kv_put_number(shared.ns, prefix, round, &error), LUAT_KV_OK);
        CHECK(kv_has_number(shared.ns, prefix, round));
        CHECK_STATUS(kv_put_number(shared.ns, "fought over", 0, &error), LUAT_KV_OK);
        CHECK(kv_has_number(shared.ns, "fought over", 0));
        if (round % 2) {
            snprintf(key, sizeof key, "%s%d", prefix, round);
            CHECK_STATUS(kv_delete(shared.ns, key, &error), LUAT_KV_OK);
            CHECK_STATUS(luat_kv_get(shared.ns, TEXT(key), (uint8_t *)value, sizeof value, &len, &error),
                         LUAT_KV_NOT_FOUND);
        }
        if (round % 20 == 0)
            CHECK(kv_count(shared.ns, prefix) == (size_t)round / 2 + 1);
    }
}

static void one_namespace_is_all_threads_at_once(void)
{
    shared = open_default();
    threads_run(THREADS, mix);
    for (int number = 0; number < THREADS; number++)
        CHECK(kv_count(shared.ns, prefix_of(number)) == ROUNDS / 2);
    CHECK(kv_count(shared.ns, "") == 1 + THREADS * ROUNDS / 2);
    kv_close(shared);
}

/* Twice the one and once the other counter in each round. */
static void count(int number)
{
    (void)number;
    for (int round = 0; round < ROUNDS; round++) {
        luat_kv_batch *batch = NULL;
        CHECK_STATUS(luat_kv_incr(shared.ns, LUAT_KV_TEXT("n"), 1, NULL, NULL, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_open(shared.store, &batch, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_incr(batch, shared.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_incr(batch, shared.ns, LUAT_KV_TEXT("m"), 1, NULL, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
        luat_kv_batch_free(batch);
    }
}

static void threads_count_together(void)
{
    shared = open_default();
    threads_run(THREADS, count);
    CHECK_VALUE(shared.ns, "n", "3200");
    CHECK_VALUE(shared.ns, "m", "1600");
    kv_close(shared);
}

static void misuse(int number)
{
    (void)number;
    for (int round = 0; round < ROUNDS; round++) {
        luat_kv_error *mine = NULL;
        CHECK(luat_kv_put(shared.ns, LUAT_KV_TEXT("\xff"), LUAT_KV_TEXT("x"), NULL, &mine) == LUAT_KV_INVALID);
        CHECK(luat_kv_error_status(mine) == LUAT_KV_INVALID && strstr(luat_kv_error_message(mine), "UTF-8"));
        luat_kv_error_free(mine);
    }
}

static void each_thread_has_its_own_errors(void)
{
    shared = open_default();
    threads_run(THREADS, misuse);
    kv_close(shared);
}

/* ---- Handles that come and go */

static void open_put_close(int number)
{
    /* A new database takes long. */
    for (int round = 0; round < (backend == POSTGRES ? 2 : 20); round++) {
        struct kv kv = open_default();
        CHECK_STATUS(kv_put_number(kv.ns, prefix_of(number), round, &error), LUAT_KV_OK);
        if (backend == DISK)
            kv_check_numbers(kv.ns, prefix_of(number), round + 1);
        kv_close(kv);
    }
}

static void stores_open_and_close_side_by_side(void)
{
    threads_run(THREADS, open_put_close);
    if (backend == DISK) {
        struct kv kv = open_default();
        CHECK(kv_count(kv.ns, "") == THREADS * 20);
        kv_close(kv);
    }
}

/* The last of them closes the store, whichever that is. */
static luat_kv_namespace *handles[THREADS];

static void use_and_free(int number)
{
    kv_put_numbers(handles[number], prefix_of(number), 10);
    luat_kv_namespace_free(handles[number]);
}

static void any_thread_may_free(void)
{
    for (int round = 0; round < 20; round++) {
        luat_kv_store *store = open_store(NULL);
        for (int number = 0; number < THREADS; number++)
            CHECK_STATUS(luat_kv_namespace_open(store, LUAT_KV_TEXT("test"), &handles[number], &error), LUAT_KV_OK);
        luat_kv_close(store);
        threads_run(THREADS, use_and_free);
    }
}

/* ---- Objects that move: the threads take them from here */

static struct {
    luat_kv_entry *entry;
    luat_kv_page *page;
    luat_kv_batch *batch;
    luat_kv_stats *stats;
    luat_kv_error *error;
} objects[THREADS];

static void use_what_another_made(int number)
{
    CHECK_VIEW(luat_kv_entry_value, objects[number].entry, "value");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(objects[number].page, 0), "key");
    CHECK(luat_kv_error_status(objects[number].error) == LUAT_KV_INVALID);
    luat_kv_entry_free(objects[number].entry);
    luat_kv_page_free(objects[number].page);
    CHECK_STATUS(luat_kv_batch_commit(objects[number].batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(objects[number].batch);
    CHECK(luat_kv_stats_live(objects[number].stats, 0) == 1);
    luat_kv_stats_free(objects[number].stats);
    luat_kv_error_free(objects[number].error);
}

static void objects_move_between_threads(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "key", "value");
    for (int number = 0; number < THREADS; number++) {
        CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("key"), &objects[number].entry, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_list(kv.ns, NULL, &objects[number].page, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_open(kv.store, &objects[number].batch, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_delete(objects[number].batch, kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_stats_read(kv.store, &objects[number].stats, &error), LUAT_KV_OK);
        CHECK(luat_kv_delete(kv.ns, LUAT_KV_TEXT(""), &objects[number].error) == LUAT_KV_INVALID);
    }
    kv_close(kv);
    threads_run(THREADS, use_what_another_made);
}

/* ---- Little room on the stack: the other tests have it too, but this goes deeper */

static void put_deep_metadata(int number)
{
    char deep[257];
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    memset(deep, '[', 128);
    memset(deep + 128, ']', 128);
    deep[256] = '\0';
    options.metadata = (luat_kv_bytes){ TEXT(deep) };
    CHECK_STATUS(luat_kv_put(shared.ns, TEXT(prefix_of(number)), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_OK);
    memset(deep, '[', 256);
    CHECK_STATUS(luat_kv_put(shared.ns, TEXT(prefix_of(number)), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_INVALID);
    struct kv kv = open_default();
    kv_close(kv);
}

/* The paths of each thread's files; scratch() has too few for all of them at once. */
static char exports[THREADS][PATH_MAX], copies[THREADS][PATH_MAX];

/* Exports, imports and copies what the others have put. */
static void carry_over(int number)
{
    luat_kv_stats *stats = NULL;
    const char *file = exports[number];
    struct kv to = kv_memory();
    CHECK_STATUS(luat_kv_export(shared.ns, file, LUAT_KV_FORMAT_JSON, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_import(to.ns, file, 0, NULL, NULL, &error), LUAT_KV_OK);
    CHECK(kv_count(to.ns, "t") == THREADS);
    CHECK_STATUS(luat_kv_import(shared.ns, file, LUAT_KV_IMPORT_REPLACE, NULL, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_stats_read(shared.store, &stats, &error), LUAT_KV_OK);
    luat_kv_stats_free(stats);
    CHECK_STATUS(luat_kv_backup(shared.store, copies[number], &error), backend == DISK ? LUAT_KV_OK : LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_compact(shared.store, &error), LUAT_KV_OK);
    kv_close(to);
}

static void a_small_stack_is_enough(void)
{
    shared = open_default();
    threads_run(THREADS, put_deep_metadata);
    for (int number = 0; number < THREADS; number++) {
        char name[20];
        snprintf(name, sizeof name, "export%d", number);
        strcpy(exports[number], scratch(name));
        snprintf(name, sizeof name, "copy%d.db", number);
        strcpy(copies[number], scratch(name));
    }
    threads_run(THREADS, carry_over);
    kv_close(shared);
}

/* ---- The end of a thread */

static pthread_key_t late;

/* Is called in several rounds. In the later ones, the data that Rust keeps for the thread is gone. */
static void write_late(void *round)
{
    intptr_t number = (intptr_t)round;
    CHECK_STATUS(kv_put_number(shared.ns, "late", (int)number, &error), LUAT_KV_OK);
    if (number < 3) CHECK(pthread_setspecific(late, (void *)(number + 1)) == 0);
}

static void end_late(int number)
{
    (void)number;
    CHECK_STATUS(kv_put_number(shared.ns, "early", 0, &error), LUAT_KV_OK);
    CHECK(pthread_setspecific(late, (void *)1) == 0);
}

/* With full durability, threads wait for each other's writes. */
static void a_thread_may_write_in_the_destructor_of_its_data(void)
{
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    if (backend != POSTGRES) /* which has its own */
        options.durability = LUAT_KV_DURABILITY_FULL;
    shared = kv_over(open_store(&options));
    CHECK(pthread_key_create(&late, write_late) == 0);
    for (int times = 0; times < 3; times++) threads_run(THREADS, end_late);
    CHECK(pthread_key_delete(late) == 0);
    CHECK(kv_count(shared.ns, "late") == 3);
    kv_close(shared);
}

static const struct check_test tests[] = {
    TEST(one_namespace_is_all_threads_at_once),
    TEST(threads_count_together),
    TEST(each_thread_has_its_own_errors),
    TEST(stores_open_and_close_side_by_side),
    TEST(any_thread_may_free),
    TEST(objects_move_between_threads),
    TEST(a_small_stack_is_enough),
    TEST(a_thread_may_write_in_the_destructor_of_its_data),
};

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
