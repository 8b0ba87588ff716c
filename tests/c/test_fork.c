/*
 * A process that has a store open may fork: parent and child both go on, whatever else is going on, and nothing that
 * was acknowledged to either is ever lost.
 */
#include "process.h"
#include "threads.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>

/* What a test shares with its children and threads. */
static struct kv shared;
static char database[PATH_MAX];

static void open_shared(void)
{
    snprintf(database, sizeof database, "%s", scratch("kv.db"));
    shared = kv_open(database);
}

/* Closes it, and looks at the file with other eyes. */
static void close_shared(void)
{
    kv_close(shared);
    CHECK_INTEGRITY(database);
}

/* How many of this process's descriptors are the database's. */
static int descriptors_of_database(void)
{
    struct stat file, open;
    struct dirent *entry;
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder && stat(database, &file) == 0);
    while (folder && (entry = readdir(folder)))
        count += fstat(atoi(entry->d_name), &open) == 0 && open.st_dev == file.st_dev && open.st_ino == file.st_ino;
    if (folder)
        closedir(folder);
    return count;
}

/* ---- The first call of all */

static void *call_first(void *unused)
{
    open_shared();
    return unused;
}

/* A fork handler: while this process forks, another thread makes the first call. */
static void call_first_meanwhile(void)
{
    pthread_t caller;
    if (*database)
        return; /* a later fork */
    CHECK(pthread_create(&caller, NULL, call_first, NULL) == 0);
    CHECK(pthread_join(caller, NULL) == 0);
}

static void open_and_use(void *unused)
{
    (void)unused;
    CHECK(descriptors_of_database() == 0);
    struct kv own = kv_open(database);
    CHECK_PUT(own.ns, "child", "value");
    kv_close(own);
}

/* To be run first. */
static void a_fork_comes_amid_the_very_first_call(void)
{
    CHECK(pthread_atfork(call_first_meanwhile, NULL, NULL) == 0);
    child_run(open_and_use, NULL);
    CHECK_VALUE(shared.ns, "child", "value");
    close_shared();
}

/* ---- Two who take turns: each waits for a byte from the other */

static int to_child[2], to_parent[2];

static void signal_to(int pipe_[2])
{
    CHECK(write(pipe_[1], "!", 1) == 1);
}

static void wait_for(int pipe_[2])
{
    char byte;
    CHECK(read(pipe_[0], &byte, 1) == 1);
}

static void child_takes_turns(void *unused)
{
    (void)unused;
    close(to_child[1]);
    close(to_parent[0]);
    CHECK_VALUE(shared.ns, "key", "before the fork");
    for (int turn = 0; turn < 20; turn++) {
        wait_for(to_child);
        CHECK(kv_has_number(shared.ns, "parent", turn));
        CHECK(kv_count(shared.ns, "parent") == (size_t)turn + 1);
        CHECK_STATUS(kv_put_number(shared.ns, "child", turn, &error), LUAT_KV_OK);
        signal_to(to_parent);
    }
}

static void parent_and_child_see_each_others_writes(void)
{
    open_shared();
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
    CHECK_PUT(shared.ns, "key", "before the fork");
    pid_t child = child_start(child_takes_turns, NULL);
    close(to_child[0]); /* so that whoever ends too early is not waited for */
    close(to_parent[1]);
    for (int turn = 0; turn < 20; turn++) {
        CHECK_STATUS(kv_put_number(shared.ns, "parent", turn, &error), LUAT_KV_OK);
        signal_to(to_child);
        wait_for(to_parent);
        CHECK(kv_has_number(shared.ns, "child", turn));
        CHECK(kv_count(shared.ns, "child") == (size_t)turn + 1);
    }
    close(to_child[1]);
    close(to_parent[0]);
    child_join(child);
    close_shared();
}

/* ---- Handles in the child */

static void do_nothing(void *unused)
{
    (void)unused;
}

static void use_all_and_close(void *unused)
{
    (void)unused;
    CHECK(descriptors_of_database() == 0);
    CHECK_VALUE(shared.ns, "key", "value");
    CHECK_PUT(shared.ns, "child", "was here");
    CHECK_STATUS(luat_kv_sweep(shared.store, 0, NULL, &error), LUAT_KV_OK);
    luat_kv_namespace *other = NULL;
    CHECK_STATUS(luat_kv_namespace_open(shared.store, BYTES("other"), &other, &error), LUAT_KV_OK);
    CHECK_PUT(other, "key", "value");
    luat_kv_namespace_free(other);
    struct kv own = kv_open(database);
    CHECK_VALUE(own.ns, "child", "was here");
    kv_close(own);
    kv_close(shared);
}

static void close_at_once(void *unused)
{
    (void)unused;
    kv_close(shared);
    struct kv own = kv_open(database);
    CHECK_PUT(own.ns, "own", "value");
    kv_close(own);
}

static void leave_everything(void *unused)
{
    (void)unused;
    CHECK_PUT(shared.ns, "left", "behind");
    exit(check_failures > 0); /* with all that a host's exit handlers do */
}

static void closing_in_the_child_leaves_the_parent_its_handles(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    child_run(use_all_and_close, NULL);
    CHECK_VALUE(shared.ns, "child", "was here");
    child_run(close_at_once, NULL);
    CHECK_VALUE(shared.ns, "own", "value");
    child_run(leave_everything, NULL);
    CHECK_VALUE(shared.ns, "left", "behind");
    CHECK_PUT(shared.ns, "key", "another");
    CHECK_VALUE(shared.ns, "key", "another");
    close_shared();
}

/* One who only copies the file away finds everything in it. */
static void closing_after_a_fork_leaves_one_file(void)
{
    char log[PATH_MAX + 4];
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    child_run(do_nothing, NULL);
    kv_close(shared);
    snprintf(log, sizeof log, "%s-wal", database);
    CHECK(access(log, F_OK) != 0);
    struct kv kv = kv_open(database);
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

static luat_kv_entry *held_entry;
static luat_kv_page *held_page;

static void use_what_was_read_before(void *unused)
{
    (void)unused;
    CHECK_VIEW(luat_kv_entry_value, held_entry, "value");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(held_page, 0), "key");
    luat_kv_entry_free(held_entry);
    luat_kv_page_free(held_page);
}

static void entries_and_pages_outlive_a_fork(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    CHECK_STATUS(luat_kv_get_entry(shared.ns, BYTES("key"), &held_entry, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_list(shared.ns, NULL, &held_page, &error), LUAT_KV_OK);
    child_run(use_what_was_read_before, NULL);
    use_what_was_read_before(NULL);
    close_shared();
}

static void write_in_memory(void *unused)
{
    (void)unused;
    CHECK_VALUE(shared.ns, "key", "value");
    CHECK_PUT(shared.ns, "child", "value");
    CHECK_VALUE(shared.ns, "child", "value");
}

static void memory_is_each_ones_own(void)
{
    shared = kv_memory();
    CHECK_PUT(shared.ns, "key", "value");
    child_run(write_in_memory, NULL);
    CHECK_MISSING(shared.ns, "child");
    CHECK_VALUE(shared.ns, "key", "value");
    kv_close(shared);
}

static void a_spawned_program_inherits_nothing(void)
{
    char line[2048];
    open_shared();
    CHECK(descriptors_of_database() > 0);
    struct process child = process_start((const char *const[]){ "ls", "-l", "/proc/self/fd", NULL });
    while (process_read(child, line, sizeof line))
        CHECK(strstr(line, "kv.db") == NULL);
    CHECK(process_end(child) == 0);
    close_shared();
}

/* ---- Nested */

static void nest(void *depth)
{
    int left = *(int *)depth - 1;
    CHECK_STATUS(kv_put_number(shared.ns, "before", left, &error), LUAT_KV_OK);
    if (left > 0)
        child_run(nest, &left);
    CHECK_STATUS(kv_put_number(shared.ns, "after", left, &error), LUAT_KV_OK);
}

static void children_may_fork_too(void)
{
    int depth = 6;
    open_shared();
    nest(&depth);
    kv_check_numbers(shared.ns, "before", depth);
    kv_check_numbers(shared.ns, "after", depth);
    close_shared();
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

/* A connection that came over would bring the parent's view of who holds which lock. */
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

/* ---- A daemon: its parent ends, and it goes on while another program opens and closes the file */

enum { DAEMON_WRITES = 2000 };

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

static const struct check_test tests[] = {
    TEST(a_fork_comes_amid_the_very_first_call),
    TEST(parent_and_child_see_each_others_writes),
    TEST(closing_in_the_child_leaves_the_parent_its_handles),
    TEST(closing_after_a_fork_leaves_one_file),
    TEST(entries_and_pages_outlive_a_fork),
    TEST(memory_is_each_ones_own),
    TEST(a_spawned_program_inherits_nothing),
    TEST(children_may_fork_too),
    TEST(forks_among_writing_threads),
    TEST(forks_among_writing_threads_in_memory),
    TEST(forks_among_stores_that_come_and_go),
    TEST(threads_that_fork_all_at_once),
    TEST(a_fork_does_not_wait_with_it),
    TEST(a_daemon_outlives_a_parent_that_just_ends),
    TEST(a_daemon_outlives_a_parent_that_closes),
    TEST(a_daemon_outlives_a_parent_whose_threads_close),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
