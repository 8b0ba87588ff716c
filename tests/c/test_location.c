/*
 * Where a database may be: mounts of the file alone, folders that must not be written, other users.
 */
#define _GNU_SOURCE
#include "faults.h"

#include "users.h"

static luat_kv_status try_open(const char *path, uint32_t flags, luat_kv_error **error)
{
    luat_kv_open_options options;
    luat_kv_store *store = GARBAGE;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = flags;
    luat_kv_status status = luat_kv_open(path, &options, &store, error);
    CHECK((store == NULL) == (status != LUAT_KV_OK));
    luat_kv_close(store);
    return status;
}

static void put_and_close(const char *path, const char *key)
{
    struct kv kv = kv_open(path);
    CHECK_STATUS(kv_put(kv.ns, key, "value", &error), LUAT_KV_OK);
    kv_close(kv);
}

/* ---- Mounts. `mount` of one file puts it into a folder where it has another log. */

static void mounts_of_a_file(void *context)
{
    (void)context;
    luat_kv_store *store = GARBAGE;
    own_mounts();
    CHECK(mount(scratch("host/kv.db"), scratch("guest/.luat/data/kv.db"), "none", MS_BIND, NULL) == 0);
    CHECK_REFUSED(try_open(scratch("guest/.luat/data/kv.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK_REFUSED(try_open(scratch("guest/.luat/data/kv.db"), LUAT_KV_OPEN_READONLY, &error), LUAT_KV_IO, "mounted");
    CHECK_REFUSED(try_open(scratch("guest/link.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK_REFUSED(luat_kv_open_project(scratch("guest"), NULL, &store, &error), LUAT_KV_IO, "mount the folder");
    CHECK(store == NULL);
    CHECK(umount(scratch("guest/.luat/data/kv.db")) == 0);

    CHECK(mount(scratch("host/kv.db"), scratch("host/kv.db"), "none", MS_BIND, NULL) == 0); /* over itself */
    CHECK_REFUSED(try_open(scratch("host/kv.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK(umount(scratch("host/kv.db")) == 0);

    CHECK(mount(scratch("elsewhere"), scratch("host/kv.db-wal"), "none", MS_BIND, NULL) == 0);
    CHECK_REFUSED(try_open(scratch("host/kv.db"), 0, &error), LUAT_KV_IO, "kv.db-wal is mounted by itself");
}

static void a_file_that_is_mounted_alone_is_refused(void)
{
    mkdir(scratch("host"), 0700), mkdir(scratch("guest"), 0700);
    mkdir(scratch("guest/.luat"), 0700), mkdir(scratch("guest/.luat/data"), 0700);
    put_and_close(scratch("host/kv.db"), "key");
    close(creat(scratch("guest/.luat/data/kv.db"), 0600));
    close(creat(scratch("host/kv.db-wal"), 0600));
    close(creat(scratch("elsewhere"), 0600));
    CHECK(symlink(".luat/data/kv.db", scratch("guest/link.db")) == 0);
    child_run_if_allowed(mounts_of_a_file, NULL);
}

static void mount_of_the_folder(void *context)
{
    (void)context;
    own_mounts();
    CHECK(mount(scratch("host"), scratch("guest"), "none", MS_BIND, NULL) == 0);
    struct kv kv = kv_open(scratch("guest/kv.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_PUT(kv.ns, "more", "value");
    kv_close(kv);
}

static void a_folder_that_is_mounted_is_fine(void)
{
    mkdir(scratch("host"), 0700), mkdir(scratch("guest"), 0700);
    put_and_close(scratch("host/kv.db"), "key");
    child_run_if_allowed(mount_of_the_folder, NULL);
    struct kv kv = kv_open(scratch("host/kv.db"));
    if (!check_skipped)
        CHECK_VALUE(kv.ns, "more", "value");
    kv_close(kv);
}

/* ---- Users: the owner of the database, and a user of the owner's group who may only read it */

static void check_nothing_beside(void)
{
    CHECK(!exists(scratch("shared/kv.db-wal")) && !exists(scratch("shared/kv.db-shm")));
}

static void reader_reads(void *context)
{
    struct turns *turns = context;
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    become(READER, GROUP);
    struct kv writable = kv_open(scratch("shared/kv.db")); /* as far as it may */
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_READONLY;
    CHECK_STATUS(luat_kv_open(scratch("shared/kv.db"), &options, &store, &error), LUAT_KV_OK);
    struct kv kv = kv_over(store);
    for (char value[] = "1"; *value <= '4'; ++*value) {
        check_holds(kv, "key", value);
        check_holds(writable, "key", value);
        CHECK(kv_count(kv.ns, "") == 1);
        CHECK_REFUSED(kv_put(writable.ns, "key", "mine", &error), LUAT_KV_READONLY,
                      "user 12002 may not write ");
        CHECK_REFUSED(kv_put(writable.ns, "key", "mine", &error), LUAT_KV_READONLY,
                      "/shared/kv.db (owner 12001, mode 0640)");
        turns_tell(turns, true);
        turns_wait(turns, true);
    }
    kv_close(writable);
    kv_close(kv);
}

static void a_reader_makes_nothing_and_sees_what_is_written(void)
{
    struct turns turns;
    if (!make_shared_database())
        return;
    turns_make(&turns);
    pid_t reader = child_start(reader_reads, &turns);
    turns_wait(&turns, false);
    check_nothing_beside();
    child_run(owner_puts, "2"); /* opens, writes and closes beside the reader */
    turns_tell(&turns, false), turns_wait(&turns, false);
    check_nothing_beside();
    if (seteuid(OWNER) != 0)
        CHECK(!"seteuid");
    struct kv kv = kv_open(scratch("shared/kv.db")); /* stays open beside the reader */
    CHECK_PUT(kv.ns, "key", "3");
    turns_tell(&turns, false), turns_wait(&turns, false);
    CHECK_PUT(kv.ns, "key", "4");
    turns_tell(&turns, false), turns_wait(&turns, false);
    kv_close(kv);
    CHECK(seteuid(0) == 0);
    turns_tell(&turns, false);
    child_join(reader);
    CHECK(owner_of(scratch("shared/kv.db-wal")) != READER && owner_of(scratch("shared/kv.db-shm")) != READER);
    child_run(owner_puts, "5");
}

/* What the sqlite3 shell of the reader leaves: a log and shared memory of its own. */
static void reader_opens_a_shell(void *context)
{
    struct turns *turns = context;
    char line[100];
    become(READER, GROUP);
    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("shared/kv.db"), NULL });
    process_write(shell, "SELECT CAST(value AS TEXT) FROM kv;\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "1") == 0);
    turns_tell(turns, true);
    turns_wait(turns, true);
    CHECK(process_end(shell) == 0);
}

static void owner_is_refused(void *words)
{
    become(OWNER, GROUP);
    CHECK_REFUSED(try_open(scratch("shared/kv.db"), LUAT_KV_OPEN_NOWAIT, &error), LUAT_KV_IO, words);
}

static void what_a_shell_left_is_taken_over(void)
{
    struct turns turns;
    if (!make_shared_database())
        return;
    turns_make(&turns);
    pid_t reader = child_start(reader_opens_a_shell, &turns);
    turns_wait(&turns, false);
    CHECK(owner_of(scratch("shared/kv.db-shm")) == READER);
    child_run(owner_is_refused, "user 12001 may not write ");
    child_run(owner_is_refused, "/shared/kv.db-wal (owner 12002, mode 0640), ");
    child_run(owner_is_refused, "a database of user 12001; process ");
    turns_tell(&turns, false);
    child_join(reader);
    CHECK(owner_of(scratch("shared/kv.db-shm")) == READER);
    child_run(owner_puts, "2");
    check_nothing_beside();

    close(creat(scratch("shared/kv.db-wal"), 0640)); /* in a folder that its owner may not write to any more */
    CHECK(chown(scratch("shared/kv.db-wal"), READER, GROUP) == 0 && chmod(scratch("shared"), 02550) == 0);
    child_run(owner_is_refused, "remove it when no process has the database open");
}

static void owner_is_killed(void *context)
{
    (void)context;
    become(OWNER, GROUP);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    CHECK_PUT(kv.ns, "key", "in the log");
    _exit(check_failures > 0);
}

static void owner_finds_it(void *value)
{
    become(OWNER, GROUP);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    check_holds(kv, "key", value);
    CHECK_PUT(kv.ns, "key", "again");
    CHECK(owner_of(scratch("shared/kv.db-wal")) == OWNER && owner_of(scratch("shared/kv.db-shm")) == OWNER);
    kv_close(kv);
}

static void a_log_that_is_taken_over_keeps_what_it_holds(void)
{
    if (!make_shared_database())
        return;
    child_run(owner_is_killed, NULL);
    CHECK(chown(scratch("shared/kv.db-wal"), READER, GROUP) == 0);
    CHECK(chown(scratch("shared/kv.db-shm"), READER, GROUP) == 0);
    child_run(owner_finds_it, "in the log");
    check_nothing_beside();
    CHECK_INTEGRITY(scratch("shared/kv.db"));
}

static void reader_is_refused_without_shared_memory(void *context)
{
    (void)context;
    become(READER, GROUP);
    CHECK_REFUSED(try_open(scratch("shared/kv.db"), LUAT_KV_OPEN_NOWAIT, &error), LUAT_KV_IO,
                  "let such a user open it once");
    CHECK(!exists(scratch("shared/kv.db-shm")));
}

static void reader_finds_it(void *value)
{
    become(READER, GROUP);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    check_holds(kv, "key", value);
    kv_close(kv);
}

static void a_reader_reads_a_log_that_nobody_has_open(void)
{
    if (!make_shared_database())
        return;
    child_run(owner_is_killed, NULL);
    child_run(reader_finds_it, "in the log");
    CHECK(owner_of(scratch("shared/kv.db-wal")) == OWNER && owner_of(scratch("shared/kv.db-shm")) == OWNER);
    remove(scratch("shared/kv.db-shm"));
    child_run(reader_is_refused_without_shared_memory, NULL);
    child_run(owner_finds_it, "in the log");
}

enum { ROUNDS = 150, LENGTH = 30000 };

/* Opens, writes two values that belong together, and closes: the log comes and goes each time. On a slow disk, rounds are
   left out. */
static void owner_writes_pairs(void *rounds)
{
    static uint8_t value[LENGTH];
    const int last = *(int *)rounds;
    const time_t late = time(NULL) + CHILD_PATIENCE / 3;
    become(OWNER, GROUP);
    for (int round = 1; round <= last; round = round < last && time(NULL) > late ? last : round + 1) {
        luat_kv_batch *batch = NULL;
        struct kv kv = kv_open_patiently(scratch("shared/kv.db"));
        memset(value, round, sizeof value);
        CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
        for (int key = 0; key < 2; key++)
            CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, (const uint8_t *)(key ? "b" : "a"), 1, value, sizeof value, NULL,
                                           &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
        luat_kv_batch_free(batch);
        kv_close(kv);
    }
}

/* All bytes that a value has; -1 if it is not whole. */
static int byte_of(const luat_kv_entry *entry)
{
    size_t len = 0;
    const uint8_t *value = luat_kv_entry_value(entry, &len);
    for (size_t at = 0; at < len; at++)
        if (value[at] != value[0])
            return -1;
    return len == LENGTH ? value[0] : -1;
}

/* The number of the round whose values are there; fails if they are of two rounds. BUSY is no failure while the file is
   written all the time. */
static int round_of_pair(struct kv kv)
{
    luat_kv_list_options options;
    luat_kv_page *page = NULL;
    luat_kv_status status;
    luat_kv_list_options_init(&options, sizeof options);
    options.flags = LUAT_KV_LIST_VALUES;
    options.limit = 2;
    do
        status = luat_kv_list(kv.ns, &options, &page, NULL);
    while (status == LUAT_KV_BUSY);
    CHECK(status == LUAT_KV_OK);
    if (status != LUAT_KV_OK)
        return 0;
    int first = byte_of(luat_kv_page_at(page, 0)), second = byte_of(luat_kv_page_at(page, 1));
    luat_kv_page_free(page);
    CHECK(first == second && first > 0);
    return first;
}

static void reader_checks_pairs(void *context)
{
    (void)context;
    become(READER, GROUP);
    struct kv kv = kv_open_patiently(scratch("shared/kv.db"));
    for (int last = 1; last < ROUNDS && !check_failures;) {
        int round = round_of_pair(kv);
        CHECK(round >= last);
        last = round;
    }
    kv_close(kv);
}

static struct turns *reading;

static void let_the_owner_write(void)
{
    turns_tell(reading, true);
    turns_wait(reading, true);
}

static void reader_is_overtaken(void *turns)
{
    become(READER, GROUP);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    reading = turns;
    fault_pause.reads = 8; /* of some fifteen for the two values */
    fault_pause.act = let_the_owner_write;
    CHECK(round_of_pair(kv) == 2);
    CHECK(fault_pause.reads < 0);
    kv_close(kv);
}

/* The owner opens, writes, moves its log into the file and is gone, all in the midst of a read. */
static void a_write_in_the_midst_of_a_read_is_noticed(void)
{
    struct turns turns;
    int rounds[] = { 1, 2 };
    if (!make_shared_database())
        return;
    child_run(owner_writes_pairs, &rounds[0]);
    turns_make(&turns);
    pid_t reader = child_start(reader_is_overtaken, &turns);
    turns_wait(&turns, false);
    child_run(owner_writes_pairs, &rounds[1]);
    turns_tell(&turns, false);
    child_join(reader);
    check_nothing_beside();
}

static void reader_opens_as_the_owner_leaves(void *turns)
{
    become(READER, GROUP);
    reading = turns;
    fault_pause.reads = 1; /* of the file itself, after the log was seen and before it is opened */
    fault_pause.act = let_the_owner_write;
    struct kv kv = kv_open(scratch("shared/kv.db"));
    CHECK(fault_pause.reads < 0);
    check_holds(kv, "key", "again");
    kv_close(kv);
}

/* The log exists when a reader begins to open, and is removed by the last owner before the reader opens it. */
static void an_owner_may_leave_while_a_reader_opens(void)
{
    struct turns turns;
    if (!make_shared_database())
        return;
    child_run(owner_is_killed, NULL);
    turns_make(&turns);
    pid_t reader = child_start(reader_opens_as_the_owner_leaves, &turns);
    turns_wait(&turns, false);
    child_run(owner_finds_it, "in the log");
    CHECK(access(scratch("shared/kv.db-wal"), F_OK) != 0);
    turns_tell(&turns, false);
    child_join(reader);
    check_nothing_beside();
}

static void reader_opens_between_two_owners(void *context)
{
    const char *const missing[] = { "-wal", "-shm" };
    (void)context;
    become(READER, GROUP);
    for (int file = 0; file < 2; file++) {
        fault_set(FAULT_OPEN, missing[file], ENOENT, 1);
        struct kv kv = kv_open(scratch("shared/kv.db"));
        CHECK(fault_count == 1);
        fault_end();
        check_holds(kv, "key", "in the log");
        kv_close(kv);
    }
}

/* One owner has removed the log that the reader was to open, and by the time the reader looks, another has made one. */
static void owners_may_come_and_go_while_a_reader_opens(void)
{
    if (!make_shared_database())
        return;
    child_run(owner_is_killed, NULL);
    child_run(reader_opens_between_two_owners, NULL);
}

/* A reader that reads the file alone must not see one half of a write that comes meanwhile. */
static void a_reader_sees_whole_writes_only(void)
{
    if (!make_shared_database())
        return;
    int one = 1, all = ROUNDS;
    child_run(owner_writes_pairs, &one);
    pid_t owner = child_start(owner_writes_pairs, &all);
    pid_t reader = child_start(reader_checks_pairs, NULL);
    child_join(owner);
    child_join(reader);
    CHECK(owner_of(scratch("shared/kv.db-wal")) != READER && owner_of(scratch("shared/kv.db-shm")) != READER);
}

/* ---- File systems and folders that may not be written */

static void readonly_mounts(void *context)
{
    (void)context;
    luat_kv_store *store = NULL;
    own_mounts();
    CHECK(mount(scratch("h #%?"), scratch("ro"), "none", MS_BIND, NULL) == 0);
    if (mount(scratch("h #%?"), scratch("ro"), "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        _exit(CHILD_SKIPPED);
    struct kv kv = kv_open(scratch("ro/kv.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_REFUSED(kv_put(kv.ns, "key", "x", &error), LUAT_KV_READONLY, "is on a file system that is mounted read-only");
    CHECK_STATUS(luat_kv_backup(kv.store, scratch("copy.db"), &error), LUAT_KV_OK);
    put_and_close(scratch("h #%?/kv.db"), "more"); /* by the other way to it */
    CHECK_VALUE(kv.ns, "more", "value");
    CHECK(kv_count(kv.ns, "") == 2);
    kv_close(kv);
    CHECK_STATUS(try_open(scratch("ro/kv.db"), LUAT_KV_OPEN_READONLY, &error), LUAT_KV_OK);
    CHECK_REFUSED(luat_kv_open(scratch("ro/new.db"), NULL, &store, &error), LUAT_KV_IO, "mounted read-only");
    CHECK_REFUSED(luat_kv_open(scratch("ro/a/new.db"), NULL, &store, &error), LUAT_KV_IO, "mounted read-only");
}

static void a_mount_that_is_readonly_is_read(void)
{
    mkdir(scratch("h #%?"), 0700), mkdir(scratch("ro"), 0700);
    put_and_close(scratch("h #%?/kv.db"), "key");
    child_run_if_allowed(readonly_mounts, NULL);
    if (!check_skipped) {
        struct kv kv = kv_open(scratch("copy.db"));
        CHECK_VALUE(kv.ns, "key", "value");
        kv_close(kv);
    }
}

static const struct check_test tests[] = {
    TEST(a_file_that_is_mounted_alone_is_refused),
    TEST(a_folder_that_is_mounted_is_fine),
    TEST(a_reader_makes_nothing_and_sees_what_is_written),
    TEST(what_a_shell_left_is_taken_over),
    TEST(a_log_that_is_taken_over_keeps_what_it_holds),
    TEST(a_reader_reads_a_log_that_nobody_has_open),
    TEST(a_write_in_the_midst_of_a_read_is_noticed),
    TEST(an_owner_may_leave_while_a_reader_opens),
    TEST(owners_may_come_and_go_while_a_reader_opens),
    TEST(a_reader_sees_whole_writes_only),
    TEST(a_mount_that_is_readonly_is_read),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
