/*
 * Forks while other threads use the store, open and close it, fork too, or wait for the database or for each other.
 */
#include "shared.h"
#include "threads.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>

static void moment(void)
{
    struct timespec moment = { 0, 50000000 };
    nanosleep(&moment, NULL);
}

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
    open_shared();
    struct process shell = process_start((const char *const[]){ "sqlite3", database, NULL });
    process_write(shell, "BEGIN IMMEDIATE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    threads_start(&thread, 1, put_and_wait);
    do
        moment();
    while (!is_set(&waits));
    child_run(do_nothing, NULL);
    CHECK(is_set(&waits));
    process_write(shell, "COMMIT;\n");
    threads_join(&thread, 1);
    CHECK(process_end(shell) == 0);
    CHECK_VALUE(shared.ns, "key", "waited for");
    close_shared();
}

/* ---- While threads wait for others */

static int forking, opened;

/* A fork handler, which runs before the library's. */
static void note_fork(void)
{
    set(&forking, 1);
}

static void fork_once(int number)
{
    (void)number;
    child_run(do_nothing, NULL);
}

/* Starts a thread that forks, and gives it time to wait for what is in the way. */
static void start_fork(struct thread *thread)
{
    set(&forking, 0);
    threads_start(thread, 1, fork_once);
    do
        moment();
    while (!is_set(&forking));
}

static char locked[PATH_MAX];

static void open_locked(int number)
{
    luat_kv_open_options options = kv_open_options(0, 60000);
    luat_kv_store *store = NULL;
    (void)number;
    CHECK_STATUS(luat_kv_open(locked, &options, &store, &error), LUAT_KV_OK);
    set(&opened, 1);
    luat_kv_close(store);
}

static void an_open_that_waits_holds_up_no_calls_although_a_fork_waits_for_it(void)
{
    char line[20];
    struct thread opening, fork;
    open_shared();
    snprintf(locked, sizeof locked, "%s", scratch("locked.db"));
    struct process shell = process_start((const char *const[]){ "sqlite3", locked, NULL });
    process_write(shell, "BEGIN EXCLUSIVE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    set(&opened, 0);
    threads_start(&opening, 1, open_locked);
    moment();
    start_fork(&fork);
    CHECK_PUT(shared.ns, "key", "put meanwhile");
    CHECK_VALUE(shared.ns, "key", "put meanwhile");
    CHECK(!is_set(&opened));
    process_write(shell, "COMMIT;\n");
    threads_join(&opening, 1);
    threads_join(&fork, 1);
    CHECK(process_end(shell) == 0);
    close_shared();
}

static int copied[2];
static luat_kv_namespace *copy;

static void import_copy(int number)
{
    (void)number;
    CHECK_STATUS(luat_kv_import_fd(copy, copied[0], 0, NULL, NULL, &error), LUAT_KV_OK);
}

/* A fork waits for the import, which waits for the export, which therefore must not wait for the fork. */
static void copy_to(struct kv to)
{
    struct thread import, fork;
    int unread = 1;
    copy = to.ns;
    kv_put_numbers(shared.ns, "key", 100);
    CHECK(pipe(copied) == 0);
    threads_start(&import, 1, import_copy);
    CHECK(write(copied[1], "\n", 1) == 1);
    while (unread > 0 && !check_failures)
        CHECK(ioctl(copied[0], FIONREAD, &unread) == 0);
    start_fork(&fork);
    CHECK_STATUS(luat_kv_export_fd(shared.ns, copied[1], LUAT_KV_FORMAT_JSON_LINES, NULL, &error), LUAT_KV_OK);
    close(copied[1]);
    threads_join(&import, 1);
    threads_join(&fork, 1);
    close(copied[0]);
    kv_check_numbers(copy, "key", 100);
    kv_close(to);
}

static void a_copy_through_a_pipe_ends_although_a_fork_waits_for_it(void)
{
    open_shared();
    copy_to(kv_open(scratch("copy.db")));
    copy_to(kv_memory());
    close_shared();
}

static void export_until_stopped(int number)
{
    int null = open("/dev/null", O_WRONLY);
    (void)number;
    while (!is_set(&stop))
        CHECK_STATUS(luat_kv_export_fd(shared.ns, null, LUAT_KV_FORMAT_JSON, NULL, &error), LUAT_KV_OK);
    close(null);
}

static void a_fork_gets_its_turn_among_exports_that_overlap(void)
{
    open_shared();
    kv_put_numbers(shared.ns, "key", 2000);
    fork_among(export_until_stopped, do_nothing);
    close_shared();
}

static const struct check_test tests[] = {
    TEST(forks_among_writing_threads),
    TEST(forks_among_writing_threads_in_memory),
    TEST(forks_among_stores_that_come_and_go),
    TEST(threads_that_fork_all_at_once),
    TEST(a_fork_does_not_wait_with_it),
    TEST(an_open_that_waits_holds_up_no_calls_although_a_fork_waits_for_it),
    TEST(a_copy_through_a_pipe_ends_although_a_fork_waits_for_it),
    TEST(a_fork_gets_its_turn_among_exports_that_overlap),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    CHECK(pthread_atfork(note_fork, NULL, NULL) == 0);
    check_tests("", tests);
    return check_done();
}
