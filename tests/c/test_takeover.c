/*
 * Files that another user has left beside a database: a log with writes, or something unrelated.
 */
#define _GNU_SOURCE
#include "privileges.h"

enum { OWNER = 12001, OTHER = 12002, GROUP = 12000 };

static const char SECRET[] = "a secret of the owner's";

/* A database that the group may write, in a folder that the group may write, with this mode. False without root. */
static bool make_database(mode_t mode)
{
    if (geteuid() != 0) {
        check_skip("this needs root");
        return false;
    }
    struct kv kv = kv_open(scratch("d/kv.db"));
    CHECK_PUT(kv.ns, "key", "first");
    kv_close(kv);
    CHECK(chmod(check_root, 0755) == 0 && chmod(scratch(""), 0755) == 0);
    CHECK(chown(scratch("d"), OWNER, GROUP) == 0 && chmod(scratch("d"), 0775) == 0);
    CHECK(chown(scratch("d/kv.db"), OWNER, GROUP) == 0 && chmod(scratch("d/kv.db"), mode) == 0);
    return true;
}

static void other_writes_and_is_killed(void *context)
{
    (void)context;
    become(OTHER, GROUP);
    struct kv kv = kv_open(scratch("d/kv.db"));
    CHECK_PUT(kv.ns, "key", "last");
    _exit(check_failures > 0);
}

static void finds(uid_t user, const char *value)
{
    become(user, GROUP);
    struct kv kv = kv_open(scratch("d/kv.db"));
    kv_check_value(kv.ns, TEXT("key"), TEXT(value), __FILE__, __LINE__);
    kv_close(kv);
}

static void owner_finds(void *value)
{
    finds(OWNER, value);
}

static void other_finds(void *value)
{
    finds(OTHER, value);
}

static luat_kv_status owner_opens(uint32_t flags, luat_kv_error **error)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_NOWAIT | flags;
    luat_kv_status status = luat_kv_open(scratch("d/kv.db"), &options, &store, error);
    luat_kv_close(store);
    return status;
}

static void owner_is_refused(void *words)
{
    become(OWNER, GROUP);
    CHECK_REFUSED(owner_opens(0, &error), LUAT_KV_IO, words);
}

static void owner_reads_and_is_refused(void *words)
{
    become(OWNER, GROUP);
    CHECK_REFUSED(owner_opens(LUAT_KV_OPEN_READONLY, &error), LUAT_KV_IO, words);
}

static void a_log_that_cannot_be_read_is_not_to_be_removed(void)
{
    if (!make_database(0660))
        return;
    child_run(other_writes_and_is_killed, NULL);
    CHECK(chmod(scratch("d/kv.db-wal"), 0600) == 0);
    child_run(owner_is_refused, "do not remove it");
    child_run(owner_is_refused, "let user 12002 open and close the database");
    child_run(owner_reads_and_is_refused, "/d/kv.db-wal (owner 12002, mode 0600)");
    child_run(other_finds, "last");
    child_run(owner_finds, "last");
}

static void other_reads(void *context)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    (void)context;
    become(OTHER, GROUP);
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_READONLY;
    CHECK_STATUS(luat_kv_open(scratch("d/kv.db"), &options, &store, &error), LUAT_KV_OK);
    luat_kv_close(store);
}

/* SQLite also creates a log for a member that only reads, and leaves it. */
static void an_empty_log_that_cannot_be_read_is_removed(void)
{
    if (!make_database(0660))
        return;
    child_run(other_reads, NULL);
    CHECK(chmod(scratch("d/kv.db-wal"), 0600) == 0 && chmod(scratch("d/kv.db-shm"), 0600) == 0);
    child_run(owner_finds, "first");
}

/* The file of a backup or an export that was killed. */
static void a_draft_beside_it_is_in_nobodys_way(void)
{
    if (!make_database(0664))
        return;
    child_run(other_writes_and_is_killed, NULL);
    close(creat(scratch("d/.luat_kv.aaaaaa"), 0600));
    CHECK(chown(scratch("d/.luat_kv.aaaaaa"), OWNER, GROUP) == 0);
    child_run(owner_finds, "last");
}

static void a_reader_takes_over_too(void)
{
    if (!make_database(0664))
        return;
    child_run(other_writes_and_is_killed, NULL);
    CHECK(chmod(scratch("d/kv.db-shm"), 0600) == 0);
    pid_t reader = fork();
    if (reader == 0) {
        become(OWNER, GROUP);
        _exit(owner_opens(LUAT_KV_OPEN_READONLY, NULL) != LUAT_KV_OK);
    }
    CHECK(child_status(reader) == 0);
    child_run(owner_finds, "last");
}

static bool holds_the_secret(const char *path)
{
    char text[100] = "";
    int file = open(path, O_RDONLY | O_NOFOLLOW);
    ssize_t len = file < 0 ? 0 : read(file, text, sizeof text - 1);
    close(file);
    return len > 0 && strstr(text, SECRET) != NULL;
}

static void what_a_link_leads_to_is_not_copied(void)
{
    if (!make_database(0664))
        return;
    FILE *secret = fopen(scratch("secret"), "w");
    CHECK(secret && fputs(SECRET, secret) >= 0 && fclose(secret) == 0);
    CHECK(chown(scratch("secret"), 0, OWNER) == 0 && chmod(scratch("secret"), 0640) == 0);
    CHECK(symlink(scratch("secret"), scratch("d/kv.db-wal")) == 0);
    child_run(owner_is_refused, "not a regular file");
    CHECK(!holds_the_secret(scratch("d/kv.db-wal")));

    /* By a hard link, where the system lets users make one. */
    CHECK(remove(scratch("d/kv.db-wal")) == 0 && link(scratch("secret"), scratch("d/kv.db-wal")) == 0);
    child_run(owner_is_refused, "of one name");
    CHECK(remove(scratch("d/kv.db-wal")) == 0);

    /* What is not a log is empty to SQLite. */
    CHECK(rename(scratch("secret"), scratch("d/kv.db-wal")) == 0);
    child_run(owner_finds, "first");
    CHECK(!holds_the_secret(scratch("d/kv.db-wal")));
}

static const struct check_test tests[] = {
    TEST(a_log_that_cannot_be_read_is_not_to_be_removed),
    TEST(an_empty_log_that_cannot_be_read_is_removed),
    TEST(a_draft_beside_it_is_in_nobodys_way),
    TEST(a_reader_takes_over_too),
    TEST(what_a_link_leads_to_is_not_copied),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
