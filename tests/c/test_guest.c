/*
 * A store is a guest in its process, which may close descriptors, lack the standard ones, and rely on its locks.
 */
#define _GNU_SOURCE /* unshare */
#include "shared.h"
#include "threads.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- A child that closes all descriptors, as daemons do, and opens others with their numbers */

enum { MOST_DESCRIPTORS = 64 };

static void close_all_descriptors(void)
{
    for (int descriptor = 3; descriptor < MOST_DESCRIPTORS; descriptor++)
        close(descriptor);
}

/* A file of the child's own, which it has locked wherever SQLite has locks. */
static int open_locked(const char *path)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int descriptor = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(descriptor >= 0 && fcntl(descriptor, F_SETLK, &all) == 0);
    return descriptor;
}

static void check_locked_by_parent(void *path)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int descriptor = open(path, O_RDWR);
    CHECK(fcntl(descriptor, F_GETLK, &all) == 0 && all.l_type == F_WRLCK);
    CHECK(all.l_start == 0 && all.l_len == 0); /* the whole file */
}

static void use_store(void)
{
    CHECK_PUT(shared.ns, "child", "value");
    CHECK_VALUE(shared.ns, "key", "value");
    kv_close(shared);
}

static void only_close_store(void)
{
    kv_close(shared);
}

static void open_another(void)
{
    struct kv kv = kv_open(scratch("another.db"));
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
}

/* Whatever it does with its inherited store, the descriptors of its own stay open, and locked. */
static void close_all_and(void (*then)(void))
{
    struct stat before[MOST_DESCRIPTORS], after;
    int pair[2];
    close_all_descriptors();
    for (int descriptor = 3; descriptor < MOST_DESCRIPTORS / 2;)
        descriptor = open_locked(scratch(descriptor % 2 ? "own" : "log"));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    for (int descriptor = 3; descriptor <= pair[1]; descriptor++)
        CHECK(fstat(descriptor, &before[descriptor]) == 0);
    then();
    for (int descriptor = 3; descriptor <= pair[1]; descriptor++)
        CHECK(fstat(descriptor, &after) == 0 && after.st_ino == before[descriptor].st_ino);
    CHECK(write(pair[0], "!", 1) == 1);
    child_run(check_locked_by_parent, scratch("own"));
    child_run(check_locked_by_parent, scratch("log"));
}

static void close_all_and_use(void *unused)
{
    (void)unused;
    close_all_and(use_store);
}

static void close_all_and_close(void *unused)
{
    (void)unused;
    close_all_and(only_close_store);
}

static void close_all_and_open_another(void *unused)
{
    (void)unused;
    close_all_and(open_another);
}

static void close_all_in_grandchild(void *unused)
{
    child_run(close_all_and_use, unused);
}

static void a_child_may_close_all_descriptors(void)
{
    open_shared();
    struct kv second = kv_open(database), third = kv_open(scratch("another.db"));
    CHECK_PUT(shared.ns, "key", "value");
    kv_close(kv_open(database)); /* its descriptor stays open, for the locks of the others */
    child_run(close_all_and_use, NULL);
    child_run(close_all_and_close, NULL);
    child_run(close_all_and_open_another, NULL);
    child_run(close_all_in_grandchild, NULL);
    CHECK_VALUE(second.ns, "child", "value");
    kv_close(second);
    kv_close(third);
    close_shared();
}

/* ---- A process without descriptors 0 to 2: what it prints goes nowhere, and not into the database */

static const char needle[] = "printed by another part of the program\n";
static int stop;

static void print_until_stopped(int number)
{
    (void)number;
    while (!is_set(&stop))
        for (int descriptor = 0; descriptor < 3; descriptor++)
            /* The system call itself: that others open these meanwhile is what ThreadSanitizer would report. */
            if (syscall(SYS_write, descriptor, needle, sizeof needle - 1) < 0)
                sched_yield();
}

static void use_without_standard_descriptors(void *unused)
{
    struct thread printer;
    (void)unused;
    for (int descriptor = 0; descriptor < 3; descriptor++)
        close(descriptor);
    set(&stop, 0);
    threads_start(&printer, 1, print_until_stopped);
    for (int round = 0; round < 30; round++) {
        char name[20];
        snprintf(name, sizeof name, "kv%d.db", round % 3);
        struct kv kv = kv_open(scratch(name));
        CHECK_STATUS(kv_put_number(kv.ns, "key", round, &error), LUAT_KV_OK);
        kv_close(kv);
    }
    set(&stop, 1);
    threads_join(&printer, 1);
    struct stat file, open;
    for (int descriptor = 0; descriptor < 3; descriptor++)
        CHECK(stat(scratch("kv0.db"), &file) == 0 && fstat(descriptor, &open) == 0 && file.st_ino != open.st_ino);
}

static void what_is_printed_without_a_standard_output_is_in_no_database(void)
{
    child_run(use_without_standard_descriptors, NULL);
    for (int number = 0; number < 3; number++) {
        char name[20];
        snprintf(name, sizeof name, "kv%d.db", number);
        CHECK_INTEGRITY(scratch(name));
        struct process grep = process_start((const char *const[]){ "grep", "-q", "printed by another part",
                                                                   scratch(name), NULL });
        CHECK(process_end(grep) == 1); /* none */
    }
}

/* ---- Nothing that the library does drops the locks of the connection that a store has */

/* How many locks a process has on a file, or with 0 for it, all processes. */
static int locks_on(const char *path, int of)
{
    char line[300];
    struct stat found;
    unsigned major, minor;
    unsigned long inode;
    int id, count = 0;
    FILE *locks = fopen("/proc/locks", "r");
    CHECK(locks && stat(path, &found) == 0);
    while (locks && fgets(line, sizeof line, locks))
        count += sscanf(line, "%*d: POSIX %*s %*s %d %x:%x:%lu", &id, &major, &minor, &inode) == 4 && (!of || id == of) &&
                 inode == (unsigned long)found.st_ino;
    if (locks)
        fclose(locks);
    return count;
}

/* A connection at rest has one lock on each. */
enum { OWN_LOCKS = 101 };

/* Of the database 100, and of its index 1 for each. */
static int locks_on_database_of(int id)
{
    char index[PATH_MAX + 4];
    snprintf(index, sizeof index, "%s-shm", database);
    return 100 * locks_on(database, id) + locks_on(index, id);
}

/* Are there so many? /proc/locks is read in pieces, between which others lock and unlock, and may leave out a line. */
static bool has_locks(int id, int least, int most)
{
    struct timespec moment = { 0, 10000000 };
    for (int tries = 0; tries < 200; tries++) {
        int locks = locks_on_database_of(id);
        if (locks >= least && locks <= most)
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}

static luat_kv_status open_and_close(const char *path, uint32_t flags)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = flags;
    luat_kv_status status = luat_kv_open(path, &options, &store, NULL);
    luat_kv_close(store);
    return status;
}

static luat_kv_status use_stats(void)
{
    luat_kv_stats *stats = NULL;
    luat_kv_status status = luat_kv_stats_read(shared.store, &stats, NULL);
    luat_kv_stats_free(stats);
    return status;
}

static luat_kv_status export_to(const char *path)
{
    return luat_kv_export(shared.ns, path, LUAT_KV_FORMAT_JSON, NULL, NULL);
}

static luat_kv_status import_from(const char *path)
{
    return luat_kv_import(shared.ns, path, LUAT_KV_IMPORT_REPLACE, NULL, NULL, NULL);
}

static void no_call_drops_the_locks(void)
{
    char log[PATH_MAX + 4];
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    snprintf(log, sizeof log, "%s-wal", database);
    CHECK(has_locks(getpid(), OWN_LOCKS, OWN_LOCKS));

/* Does something, with this outcome, and counts again. */
#define CHECK_LOCKS(call, expected) \
    do { \
        luat_kv_status status_ = (call); \
        if (status_ != (expected)) \
            check_fail(__FILE__, __LINE__, "%s is %s", #call, luat_kv_status_str(status_)); \
        if (!has_locks(getpid(), OWN_LOCKS, OWN_LOCKS)) \
            check_fail(__FILE__, __LINE__, "%s: other locks than before", #call); \
    } while (0)

    CHECK_LOCKS(open_and_close(database, 0), LUAT_KV_OK);
    CHECK_LOCKS(open_and_close(database, LUAT_KV_OPEN_READONLY), LUAT_KV_OK);
    CHECK_LOCKS(use_stats(), LUAT_KV_OK);
    CHECK_LOCKS(luat_kv_sweep(shared.store, 0, NULL, NULL), LUAT_KV_OK);
    CHECK_LOCKS(luat_kv_checkpoint(shared.store, NULL, NULL), LUAT_KV_OK);
    CHECK_LOCKS(luat_kv_compact(shared.store, NULL), LUAT_KV_OK);
    CHECK_LOCKS(luat_kv_backup(shared.store, scratch("backup.db"), NULL), LUAT_KV_OK);
    CHECK_LOCKS(luat_kv_backup(shared.store, database, NULL), LUAT_KV_IO);
    CHECK_LOCKS(export_to(scratch("export")), LUAT_KV_OK);
    CHECK_LOCKS(export_to(database), LUAT_KV_INVALID);
    CHECK_LOCKS(import_from(scratch("export")), LUAT_KV_OK);
    CHECK_LOCKS(import_from(database), LUAT_KV_INVALID);
    CHECK_LOCKS(import_from(log), LUAT_KV_INVALID);
    CHECK(symlink(database, scratch("symlink.db")) == 0);
    CHECK_LOCKS(open_and_close(scratch("symlink.db"), 0), LUAT_KV_OK);
    CHECK_LOCKS(import_from(scratch("symlink.db")), LUAT_KV_INVALID);
    CHECK(link(database, scratch("link.db")) == 0);
    CHECK_LOCKS(open_and_close(scratch("link.db"), 0), LUAT_KV_IO);
    CHECK_LOCKS(open_and_close(database, 0), LUAT_KV_IO);
    CHECK_LOCKS(import_from(scratch("link.db")), LUAT_KV_INVALID);
    CHECK(unlink(scratch("link.db")) == 0);
    child_run(do_nothing, NULL);
    CHECK_LOCKS(kv_put(shared.ns, "key", "another", NULL), LUAT_KV_OK);
    close_shared();
}

static void use_all_and_leave(void *unused)
{
    (void)unused;
    CHECK_PUT(shared.ns, "child", "value");
    CHECK(has_locks(getpid(), OWN_LOCKS, OWN_LOCKS));
    kv_close(shared);
}

static void a_child_takes_no_locks_away_and_has_its_own(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    child_run(use_all_and_leave, NULL);
    CHECK(has_locks(getpid(), OWN_LOCKS, OWN_LOCKS));
    close_shared();
}

/* ---- A parent and its child that are both process 1, each of its own namespace of process numbers */

enum { NOT_PERMITTED = 77 };

static void put_as_1(void *watch)
{
    luat_kv_page *page = GARBAGE;
    CHECK(getpid() == 1);
    CHECK_REFUSED(luat_kv_watch_next(watch, 0, &page, &error), LUAT_KV_INVALID, "before a fork");
    CHECK_VALUE(shared.ns, "key", "value");
    CHECK_PUT(shared.ns, "child", "value");
    CHECK(has_locks(0, 2 * OWN_LOCKS, 2 * OWN_LOCKS)); /* with the parent's: their numbers are others in this /proc */
}

static void be_1(void *unused)
{
    (void)unused;
    CHECK(getpid() == 1);
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    luat_kv_watch *watch = NULL;
    CHECK_STATUS(luat_kv_watch_open(shared.ns, NULL, &watch, &error), LUAT_KV_OK);
    CHECK(unshare(CLONE_NEWPID) == 0);
    child_run(put_as_1, watch);
    luat_kv_watch_free(watch);
    CHECK_PUT(shared.ns, "parent", "value");
    luat_kv_entry *child = kv_entry(shared.ns, "child"), *parent = kv_entry(shared.ns, "parent");
    CHECK(child && parent && !kv_same_version(child, parent));
    luat_kv_entry_free(child);
    luat_kv_entry_free(parent);
    kv_close(shared);
}

static void write_to(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, text, strlen(text)) < 0)
        _exit(NOT_PERMITTED);
    close(file);
}

static void enter_namespaces(void *unused)
{
    char map[50];
    snprintf(map, sizeof map, "0 %d 1", (int)geteuid());
    if (unshare(CLONE_NEWPID) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            _exit(NOT_PERMITTED);
        write_to("/proc/self/uid_map", map);
    }
    child_run(be_1, unused);
}

static void two_processes_of_one_number_are_two(void)
{
    int status = child_status(child_start(enter_namespaces, NULL));
    if (status == NOT_PERMITTED)
        check_skipped = "it takes root, or namespaces for all users";
    else
        CHECK(status == 0);
}

static const struct check_test tests[] = {
    TEST(a_child_may_close_all_descriptors),
    TEST(what_is_printed_without_a_standard_output_is_in_no_database),
    TEST(no_call_drops_the_locks),
    TEST(a_child_takes_no_locks_away_and_has_its_own),
    TEST(two_processes_of_one_number_are_two),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
