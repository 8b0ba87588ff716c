/*
 * The end of a process: handles that are still open, calls from exit handlers, and threads in calls.
 */
#include "process.h"
#include "threads.h"

static struct kv left;

static void put_late(void)
{
    CHECK_PUT(left.ns, "late", "value");
    if (check_failures)
        _exit(1);
}

static void exit_in_use(void *unused)
{
    (void)unused;
    left = kv_open(scratch("kv.db"));
    atexit(put_late);
    CHECK_PUT(left.ns, "early", "value");
    exit(check_failures > 0);
}

static void exit_handlers_may_call(void)
{
    child_run(exit_in_use, NULL);
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_VALUE(kv.ns, "early", "value");
    CHECK_VALUE(kv.ns, "late", "value");
    kv_close(kv);
}

static void *put_for_ever(void *unused)
{
    for (;;)
        luat_kv_put(left.ns, LUAT_KV_TEXT("busy"), LUAT_KV_TEXT("value"), NULL, NULL);
    return unused;
}

static void exit_among_threads(void *late)
{
    pthread_t threads[4];
    left = kv_open(scratch("kv.db"));
    CHECK_PUT(left.ns, "early", "value");
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, put_for_ever, NULL) == 0);
    while (!kv_count(left.ns, "busy"))
        continue;
    if (late)
        atexit(put_late);
    exit(check_failures > 0);
}

static void a_process_may_end_amid_calls(void)
{
    for (int i = 0; i < 20; i++) {
        child_run(exit_among_threads, i % 2 ? &left : NULL);
        struct kv kv = kv_open(scratch("kv.db"));
        CHECK_VALUE(kv.ns, "early", "value");
        CHECK_VALUE(kv.ns, "busy", "value");
        CHECK(kv_count(kv.ns, "late") == (i > 0));
        kv_close(kv);
    }
}

int main(void)
{
    const struct check_test tests[] = {TEST(exit_handlers_may_call), TEST(a_process_may_end_amid_calls)};
    check_tests("file", tests);
    return check_done();
}
