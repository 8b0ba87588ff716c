/*
 * Forks of a process that has a connection to a PostgreSQL server. It is the parent's: a child connects anew, and neither
 * uses the parent's connection nor ends it.
 */
#include "threads.h"

#include "backends.h"
#include "process.h"

#ifdef __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_CLO_CHANGE /* without valgrind, or with an old one */
#define VALGRIND_CLO_CHANGE(option) ((void)0)
#endif

static struct kv shared;

static void open_shared(void)
{
    backend = POSTGRES;
    shared = open_default();
    CHECK_PUT(shared.ns, "key", "parent");
}

static void close_shared(void)
{
    CHECK_VALUE(shared.ns, "key", "parent");
    CHECK_PUT(shared.ns, "after", "parent");
    kv_close(shared);
}

static void child_uses_it(void *unused)
{
    (void)unused;
    CHECK_VALUE(shared.ns, "key", "parent");
    CHECK_PUT(shared.ns, "child", "value");
}

static void a_child_uses_the_store(void)
{
    open_shared();
    child_run(child_uses_it, NULL);
    CHECK_VALUE(shared.ns, "child", "value");
    close_shared();
}

static void child_closes_it(void *unused)
{
    (void)unused;
    kv_close(shared);
}

static void a_child_closes_the_store(void)
{
    open_shared();
    child_run(child_closes_it, NULL);
    close_shared();
}

static void child_exits(void *unused)
{
    (void)unused;
    exit(check_failures > 0); /* with the handlers of atexit and the destructors of libraries */
}

static void a_child_exits_without_using_it(void)
{
    open_shared();
    child_run(child_exits, NULL);
    close_shared();
}

static void child_uses_and_closes(void *unused)
{
    child_uses_it(unused);
    kv_close(shared);
    exit(check_failures > 0);
}

static void children_come_and_go(void)
{
    open_shared();
    for (int round = 0; round < 5; round++) {
        pid_t children[] = { child_start(child_uses_it, NULL), child_start(child_uses_and_closes, NULL),
                             child_start(child_closes_it, NULL) };
        for (size_t i = 0; i < sizeof children / sizeof *children; i++) {
            CHECK_VALUE(shared.ns, "key", "parent");
            child_join(children[i]);
        }
    }
    close_shared();
}

/* ---- Parent and child at the same time */

enum { STEPS = 100 };

/* The sessions of the database, besides the one that asks. */
static void sessions(char *listed, size_t size)
{
    char command[1024];
    snprintf(command, sizeof command,
             "psql -XAtqd '%s' -c \"SELECT string_agg(pid::text, ' ' ORDER BY backend_start) FROM pg_stat_activity"
             " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'\"",
             luat_kv_store_path(shared.store));
    FILE *psql = popen(command, "r");
    CHECK(psql && fgets(listed, (int)size, psql));
    CHECK(psql && pclose(psql) == 0);
    listed[strcspn(listed, "\n")] = 0;
}

static void count_steps(const char *name)
{
    char key[64];
    for (int step = 0; step < STEPS; step++) {
        int64_t sum;
        CHECK_STATUS(luat_kv_incr(shared.ns, LUAT_KV_TEXT("steps"), 1, NULL, &sum, &error), LUAT_KV_OK);
        snprintf(key, sizeof key, "%s/%d", name, step);
        CHECK_STATUS(kv_put(shared.ns, key, "value", &error), LUAT_KV_OK);
    }
}

static void child_counts(void *parents_session)
{
    char listed[256];
    count_steps("child");
    sessions(listed, sizeof listed);
    /* The parent's, and then its own. */
    CHECK(strncmp(listed, parents_session, strlen(parents_session)) == 0);
    CHECK(strchr(listed, ' ') != NULL);
}

static void child_forks(void *parents_session)
{
    child_run(child_counts, parents_session);
    count_steps("between");
}

static void parent_and_child_go_on_at_the_same_time(void)
{
    char before[256], sum[32];
    open_shared();
    sessions(before, sizeof before);
    pid_t child = child_start(child_counts, before);
    count_steps("parent");
    child_join(child);
    child = child_start(child_forks, before);
    count_steps("parent");
    child_join(child);
    snprintf(sum, sizeof sum, "%d", 5 * STEPS);
    kv_check_value(shared.ns, LUAT_KV_TEXT("steps"), TEXT(sum), __FILE__, __LINE__);
    /* The server notices that the children are gone. */
    char after[256] = "";
    for (int tries = 0; tries < 1000 && strcmp(before, after) != 0; tries++)
        sessions(after, sizeof after);
    CHECK(strcmp(before, after) == 0);
    close_shared();
}

/* ---- Threads whose calls are under way when another one forks */

/* More than the store has connections, so that some wait for one. */
enum { CALLERS = 6, CALLS = 200, FORKS = 20 };

static int over;

static void count_once(void *unused)
{
    int64_t sum;
    (void)unused;
    CHECK_STATUS(luat_kv_incr(shared.ns, LUAT_KV_TEXT("sum"), 1, NULL, &sum, &error), LUAT_KV_OK);
}

/* In the child, the threads of the parent are gone, and with them what refers to the connections that they were using. */
static void child_counts_once(void *unused)
{
    VALGRIND_CLO_CHANGE("--leak-check=no");
    count_once(unused);
}

static void count(int number)
{
    (void)number;
    for (int call = 0; call < CALLS; call++)
        count_once(NULL);
    set(&over, 1);
}

static void forks_come_amid_calls_of_other_threads(void)
{
    struct thread threads[CALLERS];
    int forks = 0;
    char sum[32];
    open_shared();
    set(&over, 0);
    threads_start(threads, CALLERS, count);
    while (!is_set(&over) && forks < FORKS) {
        child_run(child_counts_once, NULL);
        forks++;
    }
    threads_join(threads, CALLERS);
    snprintf(sum, sizeof sum, "%d", CALLERS * CALLS + forks);
    kv_check_value(shared.ns, LUAT_KV_TEXT("sum"), TEXT(sum), __FILE__, __LINE__);
    CHECK(forks > 0);
    close_shared();
}

/* ---- Watches */

static luat_kv_watch *watch_all(void)
{
    luat_kv_watch *watch = NULL;
    CHECK_STATUS(luat_kv_watch_open(shared.ns, NULL, &watch, &error), LUAT_KV_OK);
    return watch;
}

static bool is_told(luat_kv_watch *watch, int64_t timeout)
{
    luat_kv_page *page = NULL;
    luat_kv_status status = luat_kv_watch_next(watch, timeout, &page, NULL);
    CHECK(status == LUAT_KV_OK || status == LUAT_KV_TIMEOUT);
    luat_kv_page_free(page);
    return status == LUAT_KV_OK;
}

static void watch_until_over(int number)
{
    static luat_kv_watch *watch; /* valgrind finds it in a child, where this thread is not */
    (void)number;
    watch = watch_all();
    while (!is_set(&over))
        is_told(watch, 1000);
    luat_kv_watch_free(watch);
}

static void child_watches(void *ready)
{
    luat_kv_watch *watch = watch_all();
    CHECK(write(*(int *)ready, "", 1) == 1);
    CHECK(is_told(watch, CHILD_PATIENCE / 2 * 1000));
    luat_kv_watch_free(watch);
}

/* Another thread asks the server for all watches, and is not in the child. */
static void a_child_is_told_of_changes_of_the_parent(void)
{
    struct thread thread;
    const struct timespec soon = { 0, 200000000 };
    int ready[2];
    char byte;
    open_shared();
    set(&over, 0);
    threads_start(&thread, 1, watch_until_over);
    for (int round = 0; round < 5; round++) {
        CHECK(pipe(ready) == 0);
        nanosleep(&soon, NULL); /* most likely it waits by now */
        pid_t child = child_start(child_watches, &ready[1]);
        CHECK(read(ready[0], &byte, 1) == 1);
        CHECK_PUT(shared.ns, "key", "parent");
        child_join(child);
        close(ready[0]);
        close(ready[1]);
    }
    set(&over, 1);
    threads_join(&thread, 1);
    close_shared();
}

static const struct check_test tests[] = {
    TEST(a_child_uses_the_store),
    TEST(a_child_closes_the_store),
    TEST(a_child_exits_without_using_it),
    TEST(children_come_and_go),
    TEST(parent_and_child_go_on_at_the_same_time),
    TEST(forks_come_amid_calls_of_other_threads),
    TEST(a_child_is_told_of_changes_of_the_parent),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("postgres", tests);
    return check_done();
}
