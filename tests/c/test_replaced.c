/*
 * A file that is removed, moved or replaced while a store has it open: every further call is refused, and nothing is
 * changed at the path.
 */
#include "shared.h"

#include <time.h>

/* Writes until the store has noticed, which takes a second at most, and sees that it has noticed for good. */
static void check_noticed(struct kv kv, const char *words)
{
    uint64_t count;
    size_t len;
    luat_kv_status status;
    time_t begun = time(NULL);
    do
        status = kv_put(kv.ns, "key", "late", NULL);
    while (status == LUAT_KV_OK && time(NULL) < begun + CHILD_PATIENCE);
    CHECK_REFUSED(kv_put(kv.ns, "key", "too late", &error), LUAT_KV_IO, words);
    CHECK_REFUSED(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), NULL, 0, &len, &error), LUAT_KV_IO, "close the store");
    CHECK_REFUSED(luat_kv_sweep(kv.store, 0, NULL, &error), LUAT_KV_IO, words);
    CHECK_REFUSED(luat_kv_backup(kv.store, scratch("backup.db"), &error), LUAT_KV_IO, words);
    CHECK_REFUSED(luat_kv_export(kv.ns, scratch("export"), 0, &count, &error), LUAT_KV_IO, words);
    CHECK(access(scratch("backup.db"), F_OK) != 0 && access(scratch("export"), F_OK) != 0);
}

/* The same for a store that is only read. */
static void check_reader_notices(struct kv kv, const char *words)
{
    size_t len;
    luat_kv_status status;
    time_t begun = time(NULL);
    do
        status = luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), NULL, 0, &len, NULL);
    while (status != LUAT_KV_IO && time(NULL) < begun + CHILD_PATIENCE);
    CHECK_REFUSED(luat_kv_get(kv.ns, LUAT_KV_TEXT("key"), NULL, 0, &len, &error), LUAT_KV_IO, words);
}

static const char *const endings[] = { "", "-wal", "-shm" };

static char *beside(const char *name, const char *ending)
{
    char *path = scratch(name);
    strcat(path, ending);
    return path;
}

static void remove_database(void)
{
    for (int i = 0; i < 3; i++)
        CHECK(unlink(beside("kv.db", endings[i])) == 0);
}

/* Makes another database in its place, open, with a log that is not moved into it yet. */
static struct kv replace_by_another(void)
{
    struct kv other = kv_open(scratch("other.db"));
    CHECK_PUT(other.ns, "key", "of the other");
    for (int i = 0; i < 3; i++)
        CHECK(rename(beside("other.db", endings[i]), beside("kv.db", endings[i])) == 0);
    return other;
}

static void write_in_child(void *unused)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "new");
    (void)unused;
    _exit(check_failures > 0); /* the log stays */
}

static void a_removed_file_is_noticed(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    remove_database();
    check_noticed(shared, "removed while it was open");
    child_run(write_in_child, NULL);
    kv_close(shared);
    for (int i = 0; i < 3; i++)
        CHECK(access(beside("kv.db", endings[i]), F_OK) == 0);
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_VALUE(kv.ns, "key", "new");
    kv_close(kv);
}

static void a_replaced_file_is_noticed_and_the_new_one_untouched(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    struct kv reader = kv_open(database);
    struct kv other = replace_by_another();
    check_noticed(shared, "replaced by another file");
    check_reader_notices(reader, "replaced by another file");
    kv_close(reader);
    kv_close(shared);
    kv_close(other); /* it was moved, so it is not taken together either */
    for (int i = 0; i < 3; i++)
        CHECK(access(beside("kv.db", endings[i]), F_OK) == 0);
    struct kv kv = kv_open(database);
    CHECK_VALUE(kv.ns, "key", "of the other");
    kv_close(kv);
    CHECK_INTEGRITY(database);
}

/* Looks from outside for the lock by which SQLite knows that the log's index is in use: a byte behind its other locks. */
static void check_index_is_in_use(void *unused)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 128, .l_len = 1 };
    int file = open(scratch("kv.db-shm"), O_RDWR);
    CHECK(file >= 0 && fcntl(file, F_GETLK, &lock) == 0);
    CHECK(lock.l_type == F_RDLCK && lock.l_pid == getppid());
    (void)unused;
}

static void a_store_on_the_old_file_drops_no_lock_of_one_on_the_new_file(void)
{
    kv_close(kv_open(scratch("other.db")));
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    kv_close(shared);
    /* Opened first, it has connections of its own. */
    luat_kv_open_options options = kv_open_options(LUAT_KV_OPEN_READONLY, 0);
    luat_kv_store *reader;
    CHECK_STATUS(luat_kv_open(database, &options, &reader, &error), LUAT_KV_OK);
    shared = kv_open(database);
    CHECK(rename(scratch("other.db"), database) == 0); /* the index stays, and is the new file's from now on */
    struct kv kv = kv_open(database);
    CHECK_PUT(kv.ns, "key", "new");
    child_run(check_index_is_in_use, NULL);
    luat_kv_close(reader);
    kv_close(shared);
    child_run(check_index_is_in_use, NULL);
    CHECK_VALUE(kv.ns, "key", "new");
    kv_close(kv);
    CHECK_INTEGRITY(database);
}

static void closing_at_once_leaves_the_new_file_alone(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    remove_database();
    child_run(write_in_child, NULL);
    kv_close(shared); /* it has had no time to notice before */
    for (int i = 0; i < 3; i++)
        CHECK(access(beside("kv.db", endings[i]), F_OK) == 0);
    struct kv kv = kv_open(database);
    CHECK_VALUE(kv.ns, "key", "new");
    kv_close(kv);
    CHECK_INTEGRITY(database);
}

static void a_removed_log_is_noticed(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    CHECK(unlink(beside("kv.db", "-wal")) == 0);
    check_noticed(shared, "its -wal file was removed or replaced");
    kv_close(shared);
}

static void a_file_that_is_moved_away_is_noticed_and_whole(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    for (int i = 0; i < 3; i++)
        CHECK(rename(beside("kv.db", endings[i]), beside("moved.db", endings[i])) == 0);
    check_noticed(shared, "moved or removed");
    kv_close(shared);
    struct kv kv = kv_open(scratch("moved.db"));
    CHECK_VALUE(kv.ns, "key", "late");
    kv_close(kv);
}

/* A backup needs a connection of its own, and must not copy another file. */
static void a_backup_notices_at_once(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    kv_close(replace_by_another());
    CHECK_REFUSED(luat_kv_backup(shared.store, scratch("backup.db"), &error), LUAT_KV_IO, "remove a -wal file that is left of the old one");
    kv_close(shared);
}

static void use_in_child(void *words)
{
    size_t len;
    for (int times = 0; times < 2; times++) {
        CHECK_REFUSED(kv_put(shared.ns, "key", "value", &error), LUAT_KV_IO, words);
        CHECK_REFUSED(luat_kv_get(shared.ns, LUAT_KV_TEXT("key"), NULL, 0, &len, &error), LUAT_KV_IO, words);
    }
    kv_close(shared);
}

static void a_child_does_not_move_to_another_file(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    struct kv other = replace_by_another();
    child_run(use_in_child, "replaced by another file");
    kv_close(other);
    kv_close(shared);
    struct kv kv = kv_open(database);
    CHECK_VALUE(kv.ns, "key", "of the other");
    kv_close(kv);
    CHECK_INTEGRITY(database);
}

static void a_child_makes_no_new_file(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    remove_database();
    child_run(use_in_child, "removed while it was open");
    for (int i = 0; i < 3; i++)
        CHECK(access(beside("kv.db", endings[i]), F_OK) != 0);
    kv_close(shared);
    for (int i = 0; i < 3; i++)
        CHECK(access(beside("kv.db", endings[i]), F_OK) != 0);
}

/* The new file may get the number of the old inode when no process has the old file open any more. */
static void wait_and_use(void *pipe_)
{
    char byte;
    close(((int *)pipe_)[1]);
    CHECK(read(((int *)pipe_)[0], &byte, 1) == 0);
    use_in_child("while it was open");
}

static void a_child_knows_a_new_file_by_more_than_its_number(void)
{
    int closed[2];
    CHECK(pipe(closed) == 0);
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    pid_t child = child_start(wait_and_use, closed);
    remove_database();
    kv_close(shared);
    child_run(write_in_child, NULL);
    close(closed[0]);
    close(closed[1]);
    child_join(child);
}

static const struct check_test tests[] = {
    TEST(a_removed_file_is_noticed),
    TEST(a_replaced_file_is_noticed_and_the_new_one_untouched),
    TEST(a_store_on_the_old_file_drops_no_lock_of_one_on_the_new_file),
    TEST(closing_at_once_leaves_the_new_file_alone),
    TEST(a_removed_log_is_noticed),
    TEST(a_file_that_is_moved_away_is_noticed_and_whole),
    TEST(a_backup_notices_at_once),
    TEST(a_child_does_not_move_to_another_file),
    TEST(a_child_makes_no_new_file),
    TEST(a_child_knows_a_new_file_by_more_than_its_number),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
