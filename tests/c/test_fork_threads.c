/*
 * Forks while other threads use the store, open and close it, fork too, or wait for the database.
 */
#include "shared.h"
#include "threads.h"

#include <time.h>

/* ---- While other threads are busy */

enum { WRITERS = 4, FORKS = 100, MOST_KEYS = 10000 };

static int stop;
static int written[THREADS];

/* Memory is quick: when there are keys enough, they are written again. */
static void write_until_stopped(int number)
{
    char prefix[20];
    snprintf(prefix, sizeof prefix, "thread%d:", number);
    for (written[number] = 0; !is_set(&stop); written[number]++)
        CHECK_STATUS(kv_put_number(shared.ns, prefix, written[number] % MOST_KEYS, &error), LUAT_KV_OK);
}

static void check_what_threads_wrote(void)
{
    char prefix[20];
    for (int number = 0; number < WRITERS; number++) {
        snprintf(prefix, sizeof prefix, "thread%d:", number);
        CHECK(written[number] > 0);
        CHECK(kv_count(shared.ns, prefix) == (size_t)(written[number] < MOST_KEYS ? written[number] : MOST_KEYS));
    }
}

static void put_and_read(void *round)
{
    CHECK_STATUS(kv_put_number(shared.ns, "fork", *(int *)round, &error), LUAT_KV_OK);
    CHECK(kv_has_number(shared.ns, "fork", *(int *)round));
}

/* Forks again and again while threads do something, and each child does something too. */
static void fork_among(void (*thread_body)(int), void (*child_body)(void *))
{
    struct thread threads[WRITERS];
    set(&stop, 0);
    threads_start(threads, WRITERS, thread_body);
    for (int round = 0; round < FORKS && !check_failures; round++)
        child_run(child_body, &round);
    set(&stop, 1);
    threads_join(threads, WRITERS);
}

static void forks_among_writing_threads(void)
{
    open_shared();
    fork_among(write_until_stopped, put_and_read);
    check_what_threads_wrote();
    kv_check_numbers(shared.ns, "fork", FORKS);
    close_shared();
}

static void forks_among_writing_threads_in_memory(void)
{
    shared = kv_memory();
    fork_among(write_until_stopped, put_and_read);
    check_what_threads_wrote();
    CHECK(kv_count(shared.ns, "fork") == 0);
    kv_close(shared);
}

static void open_and_close_until_stopped(int number)
{
    (void)number;
    while (!is_set(&stop))
        kv_close(kv_open(database));
}

/* An inherited connection would have the parent's record of locks. */
static void check_that_nothing_came_over(void *round)
{
    CHECK(descriptors_of_database() == 0);
    put_and_read(round);
}

static void forks_among_stores_that_come_and_go(void)
{
    open_shared();
    fork_among(open_and_close_until_stopped, check_that_nothing_came_over);
    kv_check_numbers(shared.ns, "fork", FORKS);
    close_shared();
}

static void fork_often(int number)
{
    for (int round = number * FORKS; round < (number + 1) * FORKS; round += 5)
        child_run(put_and_read, &round);
}

static void threads_that_fork_all_at_once(void)
{
    open_shared();
    threads_run(WRITERS, fork_often);
    CHECK(kv_count(shared.ns, "fork") == WRITERS * FORKS / 5);
    close_shared();
}

/* ---- While a thread waits for the database */

static int waits;

static void put_and_wait(int number)
{
    (void)number;
    set(&waits, 1);
    CHECK_STATUS(kv_put(shared.ns, "key", "waited for", &error), LUAT_KV_OK);
    set(&waits, 0);
}

static void a_fork_does_not_wait_with_it(void)
{
    char line[20];
    struct thread thread;
    struct timespec moment = { 0, 50000000 };
    open_shared();
    struct process shell = process_start((const char *const[]){ "sqlite3", database, NULL });
    process_write(shell, "BEGIN IMMEDIATE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    threads_start(&thread, 1, put_and_wait);
    do
        nanosleep(&moment, NULL);
    while (!is_set(&waits));
    child_run(do_nothing, NULL);
    CHECK(is_set(&waits));
    process_write(shell, "COMMIT;\n");
    threads_join(&thread, 1);
    CHECK(process_end(shell) == 0);
    CHECK_VALUE(shared.ns, "key", "waited for");
    close_shared();
}

static const struct check_test tests[] = {
    TEST(forks_among_writing_threads),
    TEST(forks_among_writing_threads_in_memory),
    TEST(forks_among_stores_that_come_and_go),
    TEST(threads_that_fork_all_at_once),
    TEST(a_fork_does_not_wait_with_it),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
