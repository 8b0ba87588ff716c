/*
 * Stores on one file share a database: the cost of an open, what is separate for each store, and that no long operation
 * delays reads.
 */
#define _GNU_SOURCE
#include "shared.h"
#include "threads.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- Descriptors that are closed slowly, so that other threads see them for longer */

static int slow_close;

#ifndef __SANITIZE_THREAD__ /* ThreadSanitizer's own close() must know which descriptors are reused */
int close(int descriptor)
{
    if (is_set(&slow_close))
        usleep(300);
    return (int)syscall(SYS_close, descriptor);
}
#endif

/* ---- Folders that were synced */

static struct stat synced[100];
static size_t synced_count;

int fsync(int descriptor)
{
    if (synced_count < sizeof synced / sizeof *synced && fstat(descriptor, &synced[synced_count]) == 0)
        synced_count++;
    return (int)syscall(SYS_fsync, descriptor);
}

static bool was_synced(const char *folder)
{
    struct stat status;
    CHECK(stat(folder, &status) == 0);
    for (size_t at = 0; at < synced_count; at++)
        if (synced[at].st_dev == status.st_dev && synced[at].st_ino == status.st_ino)
            return true;
    return false;
}

static struct kv opened_with(uint32_t flags, uint32_t busy_timeout_ms, uint32_t durability)
{
    luat_kv_open_options options = kv_open_options(flags, busy_timeout_ms);
    luat_kv_store *store = NULL;
    options.durability = durability;
    CHECK_STATUS(luat_kv_open(database, &options, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

/* ---- What a second open costs */

static void another_open_takes_no_descriptor(void)
{
    enum { STORES = 300 };
    static struct kv stores[STORES];
    const int before = descriptors();
    open_shared();
    CHECK_PUT(shared.ns, "k", "0");
    const int with_one = descriptors();
    for (int number = 0; number < STORES; number++) {
        stores[number] = kv_open(database);
        CHECK_VALUE(stores[number].ns, "k", "0");
        CHECK_PUT(stores[number].ns, "mine", "1");
    }
    CHECK(descriptors() == with_one);
    /* The one that opened the file first has no privilege. */
    kv_close(shared);
    for (int number = 0; number < STORES - 1; number++)
        kv_close(stores[number]);
    CHECK(descriptors() == with_one);
    shared = stores[STORES - 1];
    CHECK_PUT(shared.ns, "k", "2");
    CHECK_VALUE(shared.ns, "mine", "1");
    close_shared();
    CHECK(descriptors() == before);
    CHECK(access(scratch("kv.db-wal"), F_OK) != 0);
}

static void a_path_through_a_link_leads_to_the_same_data(void)
{
    open_shared();
    CHECK(mkdir(scratch("folder"), 0700) == 0 && symlink(database, scratch("folder/link.db")) == 0);
    struct kv linked = kv_open(scratch("folder/link.db"));
    CHECK_PUT(linked.ns, "k", "1");
    CHECK_VALUE(shared.ns, "k", "1");
    CHECK_PUT(shared.ns, "k", "2");
    CHECK_VALUE(linked.ns, "k", "2");
    kv_close(linked);
    CHECK_PUT(shared.ns, "k", "3");
    close_shared();
}

/* ---- What is a store's own */

static void options_are_each_store_s_own(void)
{
    luat_kv_open_options options = kv_open_options(0, 0);
    luat_kv_store *store = NULL;
    open_shared();
    options.limits = LUAT_KV_LIMITS_CLOUDFLARE;
    CHECK_STATUS(luat_kv_open(database, &options, &store, &error), LUAT_KV_OK);
    struct kv strict = kv_over(store), reader = opened_with(LUAT_KV_OPEN_READONLY, 0, 0),
              full = opened_with(0, 0, LUAT_KV_DURABILITY_FULL);
    char key[600];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    CHECK_STATUS(kv_put(shared.ns, key, "1", &error), LUAT_KV_OK);
    CHECK_STATUS(kv_put(strict.ns, key, "1", &error), LUAT_KV_LIMIT);
    CHECK_STATUS(kv_put(reader.ns, "k", "1", &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_compact(reader.store, &error), LUAT_KV_READONLY);
    CHECK_PUT(full.ns, "k", "2");
    CHECK_VALUE(reader.ns, "k", "2");
    kv_close(full);
    kv_close(strict);
    CHECK_PUT(shared.ns, "k", "3");
    kv_close(shared);
    /* The one that reads only is the last one: it may not have become a writer. */
    CHECK_VALUE(reader.ns, "k", "3");
    CHECK_STATUS(kv_put(reader.ns, "k", "4", &error), LUAT_KV_READONLY);
    shared = kv_open(database);
    CHECK_PUT(shared.ns, "k", "5");
    CHECK_VALUE(reader.ns, "k", "5");
    kv_close(reader);
    close_shared();
}

/* Each name that leads to the file has to survive a power failure, also one that another store has made. */
static void full_durability_keeps_folders_that_others_made(void)
{
    snprintf(database, sizeof database, "%s", scratch("made/here/kv.db"));
    for (int joins = 1; joins >= 0; joins--) {
        shared = opened_with(0, 0, 0);
        if (!joins)
            kv_close(shared);
        synced_count = 0;
        struct kv full = opened_with(0, 0, LUAT_KV_DURABILITY_FULL);
        CHECK(was_synced(scratch("made/here")) && was_synced(scratch("made")) && was_synced(scratch(".")));
        CHECK(synced_count < sizeof synced / sizeof *synced);
        if (joins)
            kv_close(shared);
        kv_close(full);
    }
}

static void one_that_writes_can_join_those_that_read(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "k", "1");
    kv_close(shared);
    struct kv reader = opened_with(LUAT_KV_OPEN_READONLY, 0, 0);
    CHECK_VALUE(reader.ns, "k", "1");
    shared = kv_open(database);
    CHECK_PUT(shared.ns, "k", "2");
    CHECK_VALUE(reader.ns, "k", "2");
    CHECK_STATUS(kv_put(reader.ns, "k", "3", &error), LUAT_KV_READONLY);
    close_shared();
    CHECK_VALUE(reader.ns, "k", "2");
    kv_close(reader);
}

/* ---- What takes long */

static int import_pipe[2], export_pipe[2];
static int begun;

/* The thread that imports stays in its first write to the file until it may go on. */
static __thread bool is_importer;
static int writes, may_write;

static ssize_t write_at(int descriptor, const void *bytes, size_t len, off_t offset)
{
    if (is_importer)
        set(&writes, 1);
    while (is_importer && !is_set(&may_write))
        usleep(1000);
    return syscall(SYS_pwrite64, descriptor, bytes, len, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t len, off_t offset)
{
    return write_at(descriptor, bytes, len, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t len, off_t offset)
{
    return write_at(descriptor, bytes, len, offset);
}

static void import_from_pipe(int number)
{
    (void)number;
    is_importer = true;
    CHECK_STATUS(luat_kv_import_fd(shared.ns, import_pipe[0], 0, NULL, NULL, &error), LUAT_KV_OK);
}

static void export_into_pipe(int number)
{
    (void)number;
    set(&begun, 1);
    CHECK_STATUS(luat_kv_export_fd(shared.ns, export_pipe[1], 0, NULL, &error), LUAT_KV_OK);
    close(export_pipe[1]);
}

/* Starts a thread that imports, and waits until it is about to commit. */
static void begin_import(struct thread *importer)
{
    static const char line[] = "{\"key\":\"b\",\"value\":\"1\"}\n";
    CHECK(pipe(import_pipe) == 0);
    CHECK(write(import_pipe[1], line, sizeof line - 1) == sizeof line - 1);
    close(import_pipe[1]);
    set(&writes, 0);
    set(&may_write, 0);
    threads_start(importer, 1, import_from_pipe);
    while (!is_set(&writes))
        usleep(1000);
}

/* An import has the writer while it stores: others read meanwhile, and are BUSY when they write. */
static void others_read_while_one_imports(void)
{
    struct thread importer;
    open_shared();
    CHECK_PUT(shared.ns, "a", "1");
    struct kv impatient = opened_with(LUAT_KV_OPEN_NOWAIT, 0, 0);
    begin_import(&importer);
    CHECK_REFUSED(kv_put(impatient.ns, "c", "2", &error), LUAT_KV_BUSY, "imports");
    CHECK_VALUE(impatient.ns, "a", "1");
    CHECK_VALUE(shared.ns, "a", "1");
    CHECK_MISSING(shared.ns, "b");
    kv_check_numbers(shared.ns, "none", 0);
    struct kv late = kv_open(database);
    CHECK_VALUE(late.ns, "a", "1");
    kv_close(late);
    set(&may_write, 1);
    threads_join(&importer, 1);
    CHECK_VALUE(impatient.ns, "b", "1");
    CHECK_PUT(impatient.ns, "c", "3");
    close(import_pipe[0]);
    kv_close(impatient);
    close_shared();
}

static struct kv patient;

static void read_patiently(int number)
{
    (void)number;
    CHECK_VALUE(patient.ns, "a", "1");
}

/* There is no other connection for a read beside the import. */
static void a_read_beside_an_import_says_what_it_lacks(void)
{
    struct thread importer, reader;
    struct rlimit before, none;
    uint8_t value[10];
    size_t len;
    open_shared();
    CHECK_PUT(shared.ns, "a", "1");
    struct kv impatient = opened_with(LUAT_KV_OPEN_NOWAIT, 0, 0);
    patient = opened_with(0, 60000, 0);
    begin_import(&importer);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)dup(STDIN_FILENO); /* the lowest number that is free */
    close((int)none.rlim_cur);
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (int times = 0; times < 2; times++)
        CHECK_REFUSED(luat_kv_get(impatient.ns, TEXT("a"), value, sizeof value, &len, &error), LUAT_KV_IO,
                      "too many files open");
    threads_start(&reader, 1, read_patiently);
    set(&may_write, 1);
    threads_join(&importer, 1);
    threads_join(&reader, 1);
    CHECK_VALUE(impatient.ns, "a", "1");
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    close(import_pipe[0]);
    kv_close(impatient);
    kv_close(patient);
    close_shared();
}

/* An export blocks while its output is not read. Writes do not wait for it, and it contains the state at its start. */
static void others_write_while_one_exports(void)
{
    enum { KEYS = 3000 };
    struct thread exporter;
    char bytes[4096];
    ssize_t len;
    size_t lines = 0;
    open_shared();
    kv_put_numbers(shared.ns, "before", KEYS);
    CHECK(pipe(export_pipe) == 0);
    threads_start(&exporter, 1, export_into_pipe);
    /* The first bytes are there: it has begun, and the pipe takes less than all. */
    CHECK(read(export_pipe[0], bytes, 1) == 1);
    CHECK_PUT(shared.ns, "after", "1");
    CHECK_STATUS(kv_delete(shared.ns, "before0", &error), LUAT_KV_OK);
    CHECK_VALUE(shared.ns, "after", "1");
    bool has_after = false;
    while ((len = read(export_pipe[0], bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < len; at++)
            lines += bytes[at] == '\n';
        has_after = has_after || memmem(bytes, (size_t)len, "\"after\"", 7);
    }
    threads_join(&exporter, 1);
    CHECK(!has_after);
    CHECK(lines >= KEYS);
    close(export_pipe[0]);
    close_shared();
}

/* ---- Threads */

enum { ROUNDS = 200 };

static void read_all(int number)
{
    for (int round = 0; round < ROUNDS; round++) {
        kv_check_numbers(shared.ns, "k", 20);
        if (number == 0)
            CHECK_STATUS(kv_put_number(shared.ns, "k", round % 20, &error), LUAT_KV_OK);
    }
}

static void readers_are_few(void)
{
    open_shared();
    kv_put_numbers(shared.ns, "k", 20);
    threads_run(THREADS, read_all);
    /* One writes, and at most eight read. */
    CHECK(descriptors_of_database() <= 9);
    close_shared();
}

static void come_and_go(int number)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct kv kv = kv_open(database);
        CHECK_STATUS(kv_put_number(kv.ns, "k", number, &error), LUAT_KV_OK);
        CHECK(kv_has_number(kv.ns, "k", number));
        kv_close(kv);
    }
}

/* No other process has the file open, so the last thread closes it and the next one opens it, repeatedly. */
static void stores_of_threads_come_and_go(void)
{
    open_shared();
    kv_close(shared);
    threads_run(THREADS, come_and_go);
    shared = kv_open(database);
    kv_check_numbers(shared.ns, "k", THREADS);
    close_shared();
}

static pthread_barrier_t together;

static void open_a_new_file(int number)
{
    char path[PATH_MAX + 20];
    for (int round = 0; round < ROUNDS / 10; round++) {
        snprintf(path, sizeof path, "%s.%d", database, round);
        pthread_barrier_wait(&together);
        struct kv kv = kv_open(path);
        CHECK_STATUS(kv_put_number(kv.ns, "k", number, &error), LUAT_KV_OK);
        kv_close(kv);
    }
}

/* One of them makes the file, and has a descriptor of it for a moment: no other may take it for another library's. */
static void threads_open_a_new_file_together(void)
{
    open_shared();
    CHECK(pthread_barrier_init(&together, NULL, THREADS) == 0);
    set(&slow_close, 1);
    threads_run(THREADS, open_a_new_file);
    set(&slow_close, 0);
    CHECK(pthread_barrier_destroy(&together) == 0);
    close_shared();
}

static const struct check_test tests[] = {
    TEST(another_open_takes_no_descriptor),
    TEST(a_path_through_a_link_leads_to_the_same_data),
    TEST(options_are_each_store_s_own),
    TEST(full_durability_keeps_folders_that_others_made),
    TEST(one_that_writes_can_join_those_that_read),
    TEST(others_read_while_one_imports),
    TEST(a_read_beside_an_import_says_what_it_lacks),
    TEST(others_write_while_one_exports),
    TEST(readers_are_few),
    TEST(stores_of_threads_come_and_go),
    TEST(threads_open_a_new_file_together),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
