/*
 * A process with an open store may fork: parent and child both continue, whatever else happens, and no write that was
 * acknowledged to either is lost.
 */
#include "shared.h"

#include <pthread.h>

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

/* ---- Two processes that take turns: each waits for a byte from the other */

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

static void use_all_and_close(void *unused)
{
    (void)unused;
    CHECK(descriptors_of_database() == 0);
    CHECK_VALUE(shared.ns, "key", "value");
    CHECK_PUT(shared.ns, "child", "was here");
    CHECK_STATUS(luat_kv_sweep(shared.store, 0, NULL, &error), LUAT_KV_OK);
    luat_kv_namespace *other = NULL;
    CHECK_STATUS(luat_kv_namespace_open(shared.store, LUAT_KV_TEXT("other"), &other, &error), LUAT_KV_OK);
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

/* A process that only copies the file finds everything in it. */
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
    CHECK_STATUS(luat_kv_get_entry(shared.ns, LUAT_KV_TEXT("key"), &held_entry, &error), LUAT_KV_OK);
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

static const struct check_test tests[] = {
    TEST(a_fork_comes_amid_the_very_first_call),
    TEST(parent_and_child_see_each_others_writes),
    TEST(closing_in_the_child_leaves_the_parent_its_handles),
    TEST(closing_after_a_fork_leaves_one_file),
    TEST(entries_and_pages_outlive_a_fork),
    TEST(memory_is_each_ones_own),
    TEST(a_spawned_program_inherits_nothing),
    TEST(children_may_fork_too),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
