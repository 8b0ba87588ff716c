/*
 * The contents of errors: the file, the system's message, and advice. Also the effects on a store of a system call that
 * fails for a moment, or permanently.
 */
#define _GNU_SOURCE
#include "faults.h"

#include "privileges.h"

#include <sys/resource.h>

enum { OTHER = 12003, FOREVER = 1000000 };

/* An open fails as IO, and its message has all these words. */
static void check_open(const char *path, uint32_t flags, const char *const words[])
{
    for (; *words; words++) {
        luat_kv_open_options options = kv_open_options(flags | LUAT_KV_OPEN_NOWAIT, 0);
        luat_kv_store *store = GARBAGE;
        CHECK_REFUSED(luat_kv_open(path, &options, &store, &error), LUAT_KV_IO, *words);
        CHECK(store == NULL);
        luat_kv_close(store);
    }
}

#define CHECK_OPEN(path, flags, ...) check_open(path, flags, (const char *const[]){ path, __VA_ARGS__, NULL })

static void make_database(const char *path)
{
    struct kv kv = kv_open(path);
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
}

/* ---- Rights, as a user to whom nothing here belongs */

static void rights_of_another(void *context)
{
    (void)context;
    become(OTHER, OTHER);
    CHECK_OPEN(scratch("closed/kv.db"), 0, "Permission denied (os error 13)", "user 12003 may not enter the folder ",
               "/closed (owner 0, mode 0700)");
    CHECK_OPEN(scratch("closed/a/b/kv.db"), LUAT_KV_OPEN_READONLY, "/closed (owner 0, mode 0700)");
    CHECK_OPEN(scratch("secret.db"), 0, "Permission denied (os error 13): user 12003 may not read ",
               "/secret.db (owner 0, mode 0600)");
    CHECK_OPEN(scratch("secret.db"), LUAT_KV_OPEN_READONLY, "(os error 13): user 12003 may not read ");
    CHECK_OPEN(scratch("new.db"), 0, "Permission denied (os error 13)", "user 12003 may not write to the folder ",
               "(owner 0, mode 0755)");
    CHECK_OPEN(scratch("folder/new.db"), 0, "user 12003 may not write to the folder ");
    CHECK_OPEN(scratch("open.db"), 0, "user 12003 may not write to the folder ", "SQLite keeps a log beside the file");
    struct kv kv = kv_open(scratch("readable.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_REFUSED(kv_put(kv.ns, "key", "x", &error), LUAT_KV_READONLY, "user 12003 may not write ");
    CHECK_REFUSED(kv_put(kv.ns, "key", "x", &error), LUAT_KV_READONLY, "/readable.db (owner 0, mode 0644)");
    kv_close(kv);
}

static void rights_are_told_with_users_and_modes(void)
{
    CHECK(chmod(check_root, 0755) == 0 && chmod(scratch(""), 0755) == 0);
    mkdir(scratch("closed"), 0700);
    make_database(scratch("closed/kv.db"));
    make_database(scratch("secret.db"));
    make_database(scratch("open.db"));
    make_database(scratch("readable.db"));
    CHECK(chmod(scratch("open.db"), 0666) == 0 && chmod(scratch("readable.db"), 0644) == 0);
    child_run_if_allowed(rights_of_another, NULL);
}

/* ---- A disk that is full, and limits of the process */

static void full_disk(void *context)
{
    uint8_t value[100000] = { 0 };
    luat_kv_status status = LUAT_KV_OK;
    (void)context;
    own_mounts();
    if (mount("none", scratch("small"), "tmpfs", 0, "size=200k") != 0)
        _exit(CHILD_SKIPPED);
    struct kv kv = kv_open(scratch("small/kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    for (char key[] = "a"; *key < 'z' && status == LUAT_KV_OK; ++*key)
        status = luat_kv_put(kv.ns, TEXT(key), value, sizeof value, NULL, NULL);
    CHECK(status == LUAT_KV_IO);
    CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("big"), value, sizeof value, NULL, &error), LUAT_KV_IO,
                  "No space left on device (os error 28); make room on the disk");
    CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("big"), value, sizeof value, NULL, &error), LUAT_KV_IO,
                  "/small/kv.db");
    CHECK_VALUE(kv.ns, "key", "value");
    int filler = open(scratch("small/filler"), O_WRONLY | O_CREAT, 0600);
    while (write(filler, value, 4096) > 0)
        continue;
    CHECK_OPEN(scratch("small/new.db"), 0, "No space left on device (os error 28); make room on the disk");
    close(filler);
    remove(scratch("small/filler"));
    CHECK_PUT(kv.ns, "key", "room again");
    kv_close(kv);
}

static void a_full_disk_is_told(void)
{
    mkdir(scratch("small"), 0700);
    child_run_if_allowed(full_disk, NULL);
}

static void set_limit(int which, rlim_t limit)
{
    struct rlimit limits = { limit, RLIM_INFINITY };
    struct rlimit before;
    if (getrlimit(which, &before) == 0)
        limits.rlim_max = before.rlim_max;
    CHECK(setrlimit(which, &limits) == 0);
}

static void large_file(void *context)
{
    uint8_t value[100000] = { 0 };
    (void)context;
    signal(SIGXFSZ, SIG_IGN);
    struct kv kv = kv_open(scratch("kv.db"));
    set_limit(RLIMIT_FSIZE, 64 * 1024);
    CHECK_REFUSED(luat_kv_put(kv.ns, LUAT_KV_TEXT("big"), value, sizeof value, NULL, &error), LUAT_KV_IO,
                  "File too large (os error 27); the file may not become that large");
    CHECK_MISSING(kv.ns, "big");
    kv_close(kv);
}

static void a_limit_of_the_file_size_is_told(void)
{
    child_run(large_file, NULL);
}

static void too_many_files(void *context)
{
    (void)context;
    int next = open("/dev/null", O_RDONLY);
    close(next);
    make_database(scratch("kv.db"));
    for (int left = 0; left < 3; left++) { /* for the database, its log, and its shared memory */
        set_limit(RLIMIT_NOFILE, (rlim_t)(next + left));
        CHECK_OPEN(scratch("kv.db"), 0, "Too many open files (os error 24)", "ulimit -n");
    }
    set_limit(RLIMIT_NOFILE, (rlim_t)next + 3);
    make_database(scratch("kv.db"));
}

static void too_many_open_files_are_told(void)
{
    child_run(too_many_files, NULL);
}

/* ---- Failures of a moment, and lasting ones */

/* The first attempt to open a file for writing fails, and the second would only read. */
static void a_failure_of_a_moment_makes_no_store_readonly(void)
{
    static const char *const endings[] = { "/kv.db", "/kv.db-wal", "/kv.db-shm" };
    char line[20];
    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("kv.db"), NULL });
    for (size_t at = 0; at < 2 * sizeof endings / sizeof *endings; at++) {
        luat_kv_store *store = NULL;
        make_database(scratch("kv.db"));
        if (at == sizeof endings / sizeof *endings) { /* from now on the log and the shared memory are there */
            process_write(shell, "SELECT count(*) FROM kv;\n");
            CHECK(process_read(shell, line, sizeof line) && strcmp(line, "1") == 0);
        }
        fault_set(FAULT_OPEN_TO_WRITE, endings[at % 3], EMFILE, 1);
        CHECK_STATUS(luat_kv_open(scratch("kv.db"), NULL, &store, &error), LUAT_KV_OK);
        CHECK(fault_count == 1);
        fault_end();
        struct kv kv = kv_over(store);
        CHECK_PUT(kv.ns, "key", "another");
        kv_close(kv);
    }
    CHECK(process_end(shell) == 0);
}

static void a_lasting_failure_is_an_error_of_the_open(void)
{
    static const struct {
        enum fault_call call;
        const char *ending;
        int error;
        const char *words;
    } cases[] = {
        { FAULT_OPEN_TO_WRITE, "/kv.db", EMFILE, "Too many open files (os error 24); this process has too many" },
        { FAULT_OPEN_TO_WRITE, "/kv.db", ENFILE, "(os error 23); the system has too many files open" },
        { FAULT_OPEN, "/kv.db", ENOMEM, "(os error 12); the system has no memory left" },
        { FAULT_OPEN, "/kv.db", EIO, "(os error 5); the disk failed" },
        { FAULT_OPEN, "/kv.db-wal", EDQUOT, "(os error 122); the disk quota" },
        { FAULT_OPEN_TO_WRITE, "/kv.db-wal", EMFILE, "Too many open files" },
        { FAULT_OPEN, "/kv.db-shm", EMFILE, "Too many open files" },
        { FAULT_OPEN_TO_WRITE, "/kv.db-shm", EMFILE, "Too many open files" },
        { FAULT_READ, "/kv.db", EIO, "Input/output error (os error 5); the disk failed" },
        { FAULT_WRITE, "/kv.db-wal", ENOSPC, "No space left on device (os error 28); make room" },
        { FAULT_LOCK, "/kv.db", ENOLCK, "No locks available (os error 37); the system has no lock" },
    };
    make_database(scratch("kv.db"));
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        remove(scratch("kv.db"));
        if (cases[at].call != FAULT_WRITE)
            make_database(scratch("kv.db"));
        fault_set(cases[at].call, cases[at].ending, cases[at].error, FOREVER);
        CHECK_OPEN(scratch("kv.db"), 0, cases[at].words);
        CHECK(fault_count > 0);
        fault_end();
        make_database(scratch("kv.db"));
    }
}

/* Each call ends within its busy timeout, whatever SQLite would wait for. */
static void check_lock_error(struct kv kv, uint32_t busy_timeout_ms)
{
    uint8_t value[10];
    size_t len;
    for (int writes = 0; writes < 2; writes++) {
        fault_set(FAULT_LOCK, "-shm", ENOLCK, FOREVER);
        if (writes)
            CHECK_REFUSED(kv_put(kv.ns, "key", "another", &error), LUAT_KV_IO, "No locks available (os error 37)");
        else
            CHECK_REFUSED(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), value, sizeof value, &len, &error), LUAT_KV_IO,
                          "kv.db: it could not be locked: No locks available (os error 37)");
        CHECK(fault_count > 0);
        if (fault_slept > busy_timeout_ms * 1000LL)
            check_fail(__FILE__, __LINE__, "slept for %lld us, not %u ms", fault_slept, busy_timeout_ms);
        fault_end();
        CHECK_VALUE(kv.ns, "key", "value");
    }
}

static void a_lock_that_is_not_to_be_had_is_io_within_the_busy_timeout(void)
{
    static const uint32_t timeouts[] = { 0, 100 };
    make_database(scratch("kv.db"));
    for (int at = 0; at < 2; at++) {
        luat_kv_open_options options = kv_open_options(timeouts[at] ? 0 : LUAT_KV_OPEN_NOWAIT, timeouts[at]);
        luat_kv_store *store = NULL;
        fault_set(FAULT_LOCK, "-shm", ENOLCK, FOREVER);
        CHECK_REFUSED(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_IO, "No locks available");
        if (fault_slept > timeouts[at] * 1000LL + 5000)
            check_fail(__FILE__, __LINE__, "the open slept for %lld us", fault_slept);
        fault_end();
        CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
        struct kv kv = kv_over(store);
        check_lock_error(kv, timeouts[at]);
        kv_close(kv);
    }
}

static void a_lock_that_fails_for_a_moment_is_waited_for(void)
{
    luat_kv_open_options options = kv_open_options(0, 5000);
    luat_kv_store *store = NULL;
    make_database(scratch("kv.db"));
    fault_set(FAULT_LOCK, "-shm", ENOLCK, 200);
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    struct kv kv = kv_over(store);
    fault_set(FAULT_LOCK, "-shm", ENOLCK, 200);
    CHECK_PUT(kv.ns, "key", "another");
    CHECK(fault_count == 200);
    fault_set(FAULT_LOCK, "-shm", EAGAIN, 300);
    CHECK_VALUE(kv.ns, "key", "another");
    CHECK(fault_count == 300);
    fault_end();
    kv_close(kv);
}

/* The disk cannot be read: nothing says that the file is damaged. */
static void a_read_error_is_io(void)
{
    uint8_t value[10];
    size_t len;
    char long_value[200000];
    memset(long_value, 'x', sizeof long_value);
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("long"), (const uint8_t *)long_value, sizeof long_value, NULL, &error),
                 LUAT_KV_OK);
    kv_close(kv);
    kv = kv_open(scratch("kv.db"));
    fault_set(FAULT_READ, "/kv.db", EIO, FOREVER);
    CHECK_REFUSED(luat_kv_get(kv.ns, LUAT_KV_TEXT("long"), value, sizeof value, &len, &error), LUAT_KV_IO,
                  "Input/output error (os error 5)");
    CHECK(fault_count > 0);
    fault_end();
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_MISSING(kv.ns, "missing");
    kv_close(kv);
}

/* A reason is that of the call which failed, and not what failed before. */
static void a_reason_is_not_carried_over(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    FILE *file = fopen(scratch("junk.db"), "wb");
    for (int at = 0; file && at < 5000; at++)
        fputs("junk", file);
    if (file)
        fclose(file);
    luat_kv_store *store = GARBAGE;
    errno = EIO;
    CHECK_REFUSED(luat_kv_open(scratch("junk.db"), NULL, &store, &error), LUAT_KV_CORRUPT, "junk.db");
    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("kv.db"), NULL });
    char line[20];
    process_write(shell, "BEGIN IMMEDIATE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    luat_kv_open_options options = kv_open_options(LUAT_KV_OPEN_NOWAIT, 0);
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    struct kv hasty = kv_over(store);
    errno = ENOLCK;
    CHECK_STATUS(kv_put(hasty.ns, "key", "another", &error), LUAT_KV_BUSY);
    CHECK(process_end(shell) == 0);
    kv_close(hasty);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(rights_are_told_with_users_and_modes),
    TEST(a_full_disk_is_told),
    TEST(a_limit_of_the_file_size_is_told),
    TEST(too_many_open_files_are_told),
    TEST(a_failure_of_a_moment_makes_no_store_readonly),
    TEST(a_lasting_failure_is_an_error_of_the_open),
    TEST(a_lock_that_is_not_to_be_had_is_io_within_the_busy_timeout),
    TEST(a_lock_that_fails_for_a_moment_is_waited_for),
    TEST(a_read_error_is_io),
    TEST(a_reason_is_not_carried_over),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
