/*
 * A cached value is never an old one, whichever process wrote last.
 */
#define _GNU_SOURCE /* setgroups */
#include "cache.h"

#include <grp.h>

enum { TURNS = 20 };

/* ---- Other processes: each waits for a byte from the other */

static int to_child[2], to_parent[2];

static void signal_to(const int pipe_[2])
{
    CHECK(write(pipe_[1], "!", 1) == 1);
}

static void wait_for(const int pipe_[2])
{
    char byte;
    CHECK(read(pipe_[0], &byte, 1) == 1);
}

/* Starts a child, which has its ends of the pipes. If either process ends too early, the other does not wait for it. */
static pid_t start_with_pipes(void (*body)(void *))
{
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
    pid_t child = child_start(body, NULL);
    close(to_child[0]);
    close(to_parent[1]);
    return child;
}

static void join_with_pipes(pid_t child)
{
    close(to_child[1]);
    close(to_parent[0]);
    child_join(child);
}

static void close_ends_of_parent(void)
{
    close(to_child[1]);
    close(to_parent[0]);
}

/* Reads a key often enough to get it into the cache, and checks each read. */
static void check_turn(const char *key, int turn)
{
    char value[20];
    snprintf(value, sizeof value, "%d", turn);
    for (int read = 0; read < READS; read++)
        kv_check_value(shared.ns, TEXT(key), TEXT(value), __FILE__, __LINE__);
}

/* In each turn, this process writes both keys, and then the other one does. */
static void child_writes_what_is_cached(void *unused)
{
    (void)unused;
    close_ends_of_parent();
    for (int turn = 0; turn < TURNS; turn++) {
        wait_for(to_child);
        check_turn("of parent", 2 * turn);
        check_turn("of both", 2 * turn);
        put_turn("of child", 2 * turn + 1);
        put_turn("of both", 2 * turn + 1);
        check_turn("of both", 2 * turn + 1);
        signal_to(to_parent);
    }
    CHECK(figures_of(shared.store).hits > 0);
}

static void parent_and_child_see_what_the_other_writes(void)
{
    open_shared();
    put_turn("of both", 0);
    put_turn("of child", 0);
    warm(shared.ns, "of both");
    warm(shared.ns, "of child");
    pid_t child = start_with_pipes(child_writes_what_is_cached);
    for (int turn = 0; turn < TURNS && !check_failures; turn++) {
        put_turn("of parent", 2 * turn);
        put_turn("of both", 2 * turn);
        check_turn("of both", 2 * turn);
        signal_to(to_child);
        wait_for(to_parent);
        check_turn("of child", 2 * turn + 1);
        check_turn("of both", 2 * turn + 1);
    }
    join_with_pipes(child);
    CHECK(figures_of(shared.store).hits > 0);
    close_shared();
}

static void child_sees_the_third(void *unused)
{
    (void)unused;
    close_ends_of_parent();
    CHECK_VALUE(shared.ns, "third0", "old");
    warm(shared.ns, "third0");
    warm(shared.ns, "third1");
    signal_to(to_parent);
    wait_for(to_child);
    CHECK_VALUE(shared.ns, "third0", "third0");
    CHECK_VALUE(shared.ns, "third1", "third1");
}

/* The third process has not inherited anything. */
static void parent_and_child_see_what_a_third_process_writes(void)
{
    static const char *const works[] = { "write", "churn" };
    for (int at = 0; at < 2; at++) {
        open_shared();
        CHECK_PUT(shared.ns, "third0", "old");
        CHECK(luat_kv_delete(shared.ns, LUAT_KV_TEXT("third1"), NULL) >= 0);
        warm(shared.ns, "third0");
        warm(shared.ns, "third1");
        pid_t child = start_with_pipes(child_sees_the_third);
        wait_for(to_parent);
        CHECK(process_written(process_start_self(works[at], database, "third", "2")) == 2);
        CHECK_VALUE(shared.ns, "third0", "third0");
        CHECK_VALUE(shared.ns, "third1", "third1");
        signal_to(to_child);
        join_with_pipes(child);
        close_shared();
    }
}

/* Another program, which knows nothing of the cache, and moves the log into the file. */
static void what_another_sqlite_writes_is_seen(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "old");
    warm(shared.ns, "key");
    warm(shared.ns, "none");
    sqlite_answer(database, "UPDATE kv SET value = x'6e6577' WHERE key = 'key'");
    CHECK_VALUE(shared.ns, "key", "new");
    warm(shared.ns, "key");
    sqlite_answer(database, "DELETE FROM kv WHERE key = 'key'; PRAGMA wal_checkpoint(TRUNCATE)");
    CHECK_MISSING(shared.ns, "key");
    CHECK_MISSING(shared.ns, "none");
    close_shared();
}

/* ---- Stores that are closed and opened again */

static void write_alone(void *unused)
{
    (void)unused;
    struct kv own = kv_open(database);
    warm(own.ns, "key");
    CHECK_PUT(own.ns, "key", "new");
    CHECK_PUT(own.ns, "none", "added");
    kv_close(own);
}

static void a_store_that_is_opened_again_sees_what_was_written_meanwhile(void)
{
    open_shared();
    for (int turn = 0; turn < TURNS && !check_failures; turn++) {
        CHECK_PUT(shared.ns, "key", "old");
        CHECK_STATUS(kv_delete(shared.ns, "none", &error), LUAT_KV_OK);
        warm(shared.ns, "key");
        warm(shared.ns, "none");
        kv_close(shared);
        child_run(write_alone, NULL);
        shared = kv_open(database);
        CHECK_VALUE(shared.ns, "key", "new");
        CHECK_VALUE(shared.ns, "none", "added");
    }
    close_shared();
}

static void child_writes_while_the_parent_has_none(void *unused)
{
    (void)unused;
    close_ends_of_parent();
    warm(shared.ns, "key");
    for (int turn = 0; turn < TURNS; turn++) {
        wait_for(to_child);
        check_turn("key", 2 * turn);
        put_turn("key", 2 * turn + 1);
        signal_to(to_parent);
    }
}

/* The child keeps the file open, so its log goes on. */
static void a_child_writes_between_close_and_open(void)
{
    open_shared();
    put_turn("key", 0);
    pid_t child = start_with_pipes(child_writes_while_the_parent_has_none);
    for (int turn = 0; turn < TURNS && !check_failures; turn++) {
        put_turn("key", 2 * turn);
        check_turn("key", 2 * turn);
        kv_close(shared);
        signal_to(to_child);
        wait_for(to_parent);
        shared = kv_open(database);
        check_turn("key", 2 * turn + 1);
    }
    join_with_pipes(child);
    close_shared();
}

/* ---- A process that cannot open its file any more */

enum { USER = 12345 };

static void write_as_root(void *unused)
{
    (void)unused;
    close_ends_of_parent();
    wait_for(to_child);
    CHECK_PUT(shared.ns, "cached", "new");
    CHECK_PUT(shared.ns, "uncached", "new");
    CHECK_STATUS(kv_delete(shared.ns, "gone", &error), LUAT_KV_OK);
    signal_to(to_parent);
}

/* The file and its folder are root's, and the child remains root. */
static void drop_rights(void *unused)
{
    (void)unused;
    CHECK(mkdir(scratch("roots"), 0700) == 0);
    snprintf(database, sizeof database, "%s", scratch("roots/kv.db"));
    shared = kv_open(database);
    CHECK_PUT(shared.ns, "cached", "value");
    CHECK_PUT(shared.ns, "uncached", "value");
    CHECK_PUT(shared.ns, "gone", "value");
    warm(shared.ns, "cached");
    warm(shared.ns, "gone");
    pid_t child = start_with_pipes(write_as_root);
    CHECK(setgroups(0, NULL) == 0 && setgid(USER) == 0 && setuid(USER) == 0);
    CHECK(access(database, F_OK) != 0);

    CHECK_VALUE(shared.ns, "cached", "value");
    CHECK_VALUE(shared.ns, "uncached", "value");
    signal_to(to_child);
    wait_for(to_parent);
    CHECK_VALUE(shared.ns, "cached", "new");
    CHECK_VALUE(shared.ns, "uncached", "new");
    CHECK_MISSING(shared.ns, "gone");
    CHECK_PUT(shared.ns, "cached", "own");
    child_join(child);
    warm(shared.ns, "cached");
    CHECK_VALUE(shared.ns, "cached", "own");
    kv_close(shared);
}

static void a_process_that_dropped_its_rights_reads_on(void)
{
    if (geteuid() != 0) {
        check_skip("it takes root");
        return;
    }
    CHECK(chmod(check_root, 0711) == 0 && chmod(scratch(""), 0711) == 0);
    child_run(drop_rights, NULL);
    struct kv kv = kv_open(scratch("roots/kv.db"));
    CHECK_VALUE(kv.ns, "cached", "own");
    kv_close(kv);
    CHECK_INTEGRITY(scratch("roots/kv.db"));
}

static const struct check_test tests[] = {
    TEST(parent_and_child_see_what_the_other_writes),
    TEST(parent_and_child_see_what_a_third_process_writes),
    TEST(what_another_sqlite_writes_is_seen),
    TEST(a_store_that_is_opened_again_sees_what_was_written_meanwhile),
    TEST(a_child_writes_between_close_and_open),
    TEST(a_process_that_dropped_its_rights_reads_on),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
