/*
 * A child that outlives its parent, while other programs open the file, close it and reset its log.
 */
#include "shared.h"
#include "threads.h"

#include <sched.h>

/* ---- A daemon: its parent ends, and it goes on while another program opens and closes the file */

enum { DAEMON_WRITES = 2000 };

enum { WRITERS = 4 };

static int stop;

static void open_and_close_until_stopped(int number)
{
    (void)number;
    while (!is_set(&stop))
        kv_close(kv_open(database));
}

/* What the parent does beside forking and ending. */
static enum { JUST_END, CLOSE_FIRST, CLOSE_IN_THREADS } parent_does;
static int daemon_written[2];

/* Writes until it has written enough, and tells how much that was. */
static void be_a_daemon(void *parent)
{
    int count = 0;
    while (getppid() == *(pid_t *)parent)
        sched_yield();
    for (; count < DAEMON_WRITES; count++)
        CHECK_STATUS(kv_put_number(shared.ns, "daemon", count, &error), LUAT_KV_OK);
    if (check_failures)
        count = -1;
    CHECK(write(daemon_written[1], &count, sizeof count) == sizeof count);
}

static void start_a_daemon(void *unused)
{
    struct thread threads[WRITERS];
    pid_t self = getpid();
    (void)unused;
    open_shared();
    kv_put_numbers(shared.ns, "parent", 100);
    if (parent_does == CLOSE_IN_THREADS) {
        set(&stop, 0);
        threads_start(threads, WRITERS, open_and_close_until_stopped);
        kv_put_numbers(shared.ns, "parent", 100); /* they get going */
    }
    child_start(be_a_daemon, &self);
    kv_put_numbers(shared.ns, "late", 5);
    if (parent_does == CLOSE_FIRST)
        kv_close(shared);
}

static void check_daemon(void)
{
    int count = 0;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", scratch("kv.db"));
    CHECK(pipe(daemon_written) == 0);
    child_run(start_a_daemon, NULL);
    struct process churn = process_start_self("churn", path, "churn", "300");
    close(daemon_written[1]);
    CHECK(read(daemon_written[0], &count, sizeof count) == sizeof count);
    CHECK(count == DAEMON_WRITES);
    CHECK(process_written(churn) == 300);
    close(daemon_written[0]);

    shared = kv_open(path);
    kv_check_numbers(shared.ns, "parent", 100);
    kv_check_numbers(shared.ns, "late", 5);
    kv_check_numbers(shared.ns, "daemon", DAEMON_WRITES);
    kv_check_numbers(shared.ns, "churn", 300);
    CHECK(kv_count(shared.ns, "") == 100 + 5 + DAEMON_WRITES + 300);
    kv_close(shared);
    CHECK_INTEGRITY(path);
}

static void a_daemon_outlives_a_parent_that_just_ends(void)
{
    parent_does = JUST_END;
    check_daemon();
}

static void a_daemon_outlives_a_parent_that_closes(void)
{
    parent_does = CLOSE_FIRST;
    check_daemon();
}

static void a_daemon_outlives_a_parent_whose_threads_close(void)
{
    parent_does = CLOSE_IN_THREADS;
    check_daemon();
}

/* ---- A parent, its child and a third program that empties the log: whichever ends first, all counts are kept */

enum { ROUNDS = 6, COUNTS = 150 };

static const char counter[] = "counter";
static int all_have_left[2];
static pid_t counting_parent;

static void count(int times)
{
    for (int time = 0; time < times; time++)
        CHECK_STATUS(luat_kv_incr(shared.ns, TEXT(counter), 1, NULL, NULL, &error), LUAT_KV_OK);
}

static void count_in_child(void *parent_leaves_first)
{
    count(COUNTS);
    while (*(int *)parent_leaves_first && getppid() == counting_parent)
        sched_yield();
    count(COUNTS);
    kv_close(shared);
    CHECK(check_failures == 0 && write(all_have_left[1], "+", 1) == 1);
}

static void count_in_parent(void *parent_leaves_first)
{
    counting_parent = getpid();
    shared = kv_open_patiently(database);
    count(COUNTS);
    pid_t child = child_start(count_in_child, parent_leaves_first);
    count(COUNTS);
    if (!*(int *)parent_leaves_first) {
        child_join(child);
        count(COUNTS);
        kv_close(shared);
    }
    CHECK(check_failures == 0 && write(all_have_left[1], "+", 1) == 1);
}

static void no_count_is_lost_whoever_leaves_first(void)
{
    long long counted = 0;
    snprintf(database, sizeof database, "%s", scratch("kv.db"));
    for (int round = 0; round < ROUNDS && !check_failures; round++) {
        char byte;
        int left = 0, parent_leaves_first = round % 2;
        CHECK(pipe(all_have_left) == 0 && fcntl(all_have_left[1], F_SETFD, FD_CLOEXEC) == 0);
        struct process others = process_start_self("checkpoint", database, "none", "1000000");
        child_run(count_in_parent, &parent_leaves_first);
        close(all_have_left[1]);
        while (read(all_have_left[0], &byte, 1) == 1) /* until the child has left, too */
            left++;
        close(all_have_left[0]);
        CHECK(left == 2);
        kill(others.id, SIGKILL);
        CHECK(process_end(others) == 128 + SIGKILL);
        counted += (parent_leaves_first ? 4 : 5) * COUNTS;
    }
    struct kv kv = kv_open(database);
    int64_t sum = 0;
    CHECK_STATUS(luat_kv_incr(kv.ns, TEXT(counter), 0, NULL, &sum, &error), LUAT_KV_OK);
    if (sum != counted)
        check_fail(__FILE__, __LINE__, "%lld of %lld counts were kept", (long long)sum, counted);
    kv_close(kv);
    CHECK_INTEGRITY(database);
}

static const struct check_test tests[] = {
    TEST(a_daemon_outlives_a_parent_that_just_ends),
    TEST(a_daemon_outlives_a_parent_that_closes),
    TEST(a_daemon_outlives_a_parent_whose_threads_close),
    TEST(no_count_is_lost_whoever_leaves_first),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
