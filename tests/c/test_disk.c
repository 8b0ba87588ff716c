/*
 * What is particular to a store in a file: its location, durability, other processes, and files that are not databases.
 */
#include "process.h"

#include <time.h>

static struct kv open_with(const char *path, uint32_t flags, uint32_t busy_timeout_ms)
{
    luat_kv_open_options options = kv_open_options(flags, busy_timeout_ms);
    luat_kv_store *store = NULL;
    CHECK_STATUS(luat_kv_open(path, &options, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

/* Opening fails so, and the message holds these words. */
static void check_open_refused_saying(const char *path, uint32_t flags, luat_kv_status status, const char *words)
{
    luat_kv_open_options options = kv_open_options(flags, 0);
    luat_kv_store *store = GARBAGE;
    CHECK_REFUSED(luat_kv_open(path, &options, &store, &error), status, words);
    CHECK(store == NULL);
}

/* The same, and the words are the path. */
static void check_open_refused(const char *path, uint32_t flags, luat_kv_status status)
{
    check_open_refused_saying(path, flags, status, path);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mode & 07777 : 0;
}

static long long size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (long long)status.st_size : -1;
}

/* ---- What is kept */

static void everything_is_there_after_reopening(void)
{
    luat_kv_put_options options;
    luat_kv_entry *entry = NULL;
    struct kv kv = kv_open(scratch("kv.db"));
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"a\":1}") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("full\0"), LUAT_KV_TEXT("a\0b"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "empty", "");
    CHECK_PUT(kv.ns, "gone", "x");
    CHECK_STATUS(kv_delete(kv.ns, "gone", &error), LUAT_KV_OK);
    kv_close(kv);

    kv = kv_open(scratch("kv.db"));
    CHECK_STATUS(luat_kv_get_entry(kv.ns, LUAT_KV_TEXT("full\0"), &entry, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_value, entry, "a\0b");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "{\"a\":1}");
    CHECK(luat_kv_entry_expiration(entry) == 4000000000);
    CHECK_VALUE(kv.ns, "empty", "");
    CHECK_MISSING(kv.ns, "gone");
    luat_kv_entry_free(entry);
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

static void another_process_finds_it(void)
{
    struct process child = process_start_self("write", scratch("kv.db"), "w", "10");
    CHECK(process_written(child) == 10);
    struct kv kv = kv_open(scratch("kv.db"));
    kv_check_numbers(kv.ns, "w", 10);
    CHECK(kv_count(kv.ns, "") == 10);
    child = process_start_self("write", scratch("kv.db"), "v", "10"); /* while we have it open */
    CHECK(process_written(child) == 10);
    kv_check_numbers(kv.ns, "v", 10);
    kv_close(kv);
}

static void what_was_acknowledged_survives_a_kill(void)
{
    for (int round = 0; round < 3; round++) {
        char line[100], prefix[20];
        int last = -1;
        snprintf(prefix, sizeof prefix, "round%d:", round);
        struct process child = process_start_self("write", scratch("kv.db"), prefix, "1000000");
        while (last < 300 && process_read(child, line, sizeof line))
            last = atoi(line);
        CHECK(last == 300);
        kill(child.id, SIGKILL);
        while (process_read(child, line, sizeof line)) /* told before it died */
            last = atoi(line);
        CHECK(process_end(child) == 128 + SIGKILL);
        struct kv kv = kv_open(scratch("kv.db"));
        kv_check_numbers(kv.ns, prefix, last + 1);
        kv_close(kv);
        CHECK_INTEGRITY(scratch("kv.db"));
    }
}

static void eight_processes_make_one_file(void)
{
    enum { PROCESSES = 8 };
    struct process children[PROCESSES];
    char prefix[20];
    for (int at = 0; at < PROCESSES; at++) {
        snprintf(prefix, sizeof prefix, "p%d:", at);
        children[at] = process_start_self("write", scratch("new/kv.db"), prefix, "200");
    }
    for (int at = 0; at < PROCESSES; at++)
        CHECK(process_written(children[at]) == 200);
    struct kv kv = kv_open(scratch("new/kv.db"));
    for (int at = 0; at < PROCESSES; at++) {
        snprintf(prefix, sizeof prefix, "p%d:", at);
        kv_check_numbers(kv.ns, prefix, 200);
    }
    CHECK(kv_count(kv.ns, "") == 200 * PROCESSES);
    kv_close(kv);
    CHECK_INTEGRITY(scratch("new/kv.db"));
}

static void limits_hold_for_what_is_asked_not_for_what_is_stored(void)
{
    luat_kv_open_options options = kv_open_options(0, 0);
    luat_kv_list_options one = kv_list_options("", 1);
    luat_kv_store *store = NULL;
    luat_kv_page *page = NULL, *next = NULL;
    char key[601];
    memset(key, 'k', 600);
    key[600] = '\0';
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_STATUS(kv_put(kv.ns, key, "long", &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "last", "short");
    kv_close(kv);

    options.limits = LUAT_KV_LIMITS_CLOUDFLARE;
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    kv = kv_over(store);
    CHECK_STATUS(luat_kv_list(kv.ns, &one, &page, &error), LUAT_KV_OK);
    one.cursor.data = luat_kv_page_cursor(page, &one.cursor.len);
    CHECK_STATUS(luat_kv_list(kv.ns, &one, &next, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(next, 0), "last");
    CHECK_STATUS(kv_delete(kv.ns, key, &error), LUAT_KV_LIMIT);
    luat_kv_page_free(page);
    luat_kv_page_free(next);
    kv_close(kv);
}

/* ---- Its location */

static void only_the_owner_may_read_it(void)
{
    mode_t mask = umask(0);
    struct kv kv = kv_open(scratch("a/b/kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    CHECK(mode_of(scratch("a")) == 0700 && mode_of(scratch("a/b")) == 0700);
    CHECK(mode_of(scratch("a/b/kv.db")) == 0600);
    CHECK(!exists(scratch("a/b/kv.db-wal")) || mode_of(scratch("a/b/kv.db-wal")) == 0600);
    CHECK(!exists(scratch("a/b/kv.db-shm")) || mode_of(scratch("a/b/kv.db-shm")) == 0600);
    kv_close(kv);
    umask(mask);
}

static luat_kv_status open_project(const char *folder, luat_kv_error **error)
{
    luat_kv_store *store = GARBAGE;
    luat_kv_status status = luat_kv_open_project(folder, NULL, &store, error);
    CHECK((store == NULL) == (status != LUAT_KV_OK));
    luat_kv_close(store);
    return status;
}

static void a_project_says_where(void)
{
    char here[PATH_MAX];
    mkdir(scratch("app"), 0700), mkdir(scratch("app/src"), 0700), mkdir(scratch("app/src/deep"), 0700);
    CHECK_STATUS(open_project(scratch("app/src"), &error), LUAT_KV_OK); /* no luat.toml: the folder itself */
    CHECK(exists(scratch("app/src/.luat/data/kv.db")));

    write_file(scratch("app/luat.toml"), "[other]\ndata_dir = 1\n");
    CHECK_STATUS(open_project(scratch("app/src/deep"), &error), LUAT_KV_OK);
    CHECK(exists(scratch("app/.luat/data/kv.db")) && mode_of(scratch("app/.luat/data")) == 0700);

    write_file(scratch("app/luat.toml"), "title = \"x\"\n\n[routing]\ndata_dir = \"var/kv\"\n");
    CHECK(getcwd(here, sizeof here) && chdir(scratch("app/src/deep")) == 0);
    CHECK_STATUS(open_project(NULL, &error), LUAT_KV_OK);
    CHECK(chdir(here) == 0);
    CHECK(exists(scratch("app/var/kv/kv.db")) && !exists(scratch("app/src/deep/.luat")));

    mkdir(scratch("other"), 0700); /* its project is not the one that the path leads through */
    CHECK_STATUS(open_project(scratch("app/src/../../other"), &error), LUAT_KV_OK);
    CHECK(exists(scratch("other/.luat/data/kv.db")));
    CHECK_REFUSED(open_project(scratch("missing"), &error), LUAT_KV_IO, scratch("missing"));
    CHECK(!exists(scratch("missing")));
}

static void a_wrong_luat_toml_is_told_with_its_line(void)
{
    write_file(scratch("luat.toml"), "[routing]\ndata_dir = \"x\"\nthis is not TOML\n");
    CHECK_REFUSED(open_project(scratch(""), &error), LUAT_KV_INVALID, "luat.toml:3");
    write_file(scratch("luat.toml"), "[routing]\n\n\ndata_dir = 3\n");
    CHECK_REFUSED(open_project(scratch(""), &error), LUAT_KV_INVALID, "luat.toml:4");
    write_file(scratch("luat.toml"), "# fine\n# \xff\n");
    CHECK_REFUSED(open_project(scratch(""), &error), LUAT_KV_INVALID, "luat.toml:2");
    CHECK(!exists(scratch(".luat")) && !exists(scratch("x")));
    remove(scratch("luat.toml"));
    mkdir(scratch("luat.toml"), 0700);
    CHECK_REFUSED(open_project(scratch(""), &error), LUAT_KV_IO, "luat.toml");
    remove(scratch("luat.toml"));
    CHECK(mkfifo(scratch("luat.toml"), 0600) == 0); /* nobody will ever write into it */
    CHECK_REFUSED(open_project(scratch(""), &error), LUAT_KV_IO, "luat.toml");
}

/* ---- What is no store */

static void a_junk_file_is_corrupt_and_left_alone(void)
{
    char text[100] = "";
    const char *path = scratch("junk.db");
    write_file(path, "This is a letter, and not a database at all. It is long enough to have a header, though.");
    check_open_refused(path, 0, LUAT_KV_CORRUPT);
    check_open_refused(path, LUAT_KV_OPEN_READONLY, LUAT_KV_CORRUPT);
    FILE *file = fopen(path, "rb");
    CHECK(file && fread(text, 1, sizeof text - 1, file) == 88 && strncmp(text, "This is a letter", 16) == 0);
    if (file)
        fclose(file);
    CHECK(!exists(scratch("junk.db-wal")) && !exists(scratch("junk.db-journal")));
}

static void a_table_of_another_kind_is_corrupt(void)
{
    const char *path = scratch("other.db");
    sqlite_answer(path, "CREATE TABLE kv (id INTEGER PRIMARY KEY, words TEXT)");
    check_open_refused(path, 0, LUAT_KV_CORRUPT);
    CHECK(strcmp(sqlite_answer(path, "SELECT count(*) FROM sqlite_schema"), "1") == 0);
}

static void what_is_no_file_is_refused(void)
{
    luat_kv_store *store = GARBAGE;
    mkdir(scratch("folder"), 0700);
    check_open_refused_saying(scratch("folder"), 0, LUAT_KV_IO, "/folder: Is a directory (os error 21)");
    check_open_refused_saying(scratch("folder"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO, "(os error 21)");
    CHECK(mkfifo(scratch("fifo"), 0600) == 0);
    check_open_refused(scratch("fifo"), 0, LUAT_KV_IO);
    check_open_refused(scratch("fifo"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    check_open_refused("/dev/null", 0, LUAT_KV_IO);
    write_file(scratch("file"), "");
    check_open_refused_saying(scratch("file/kv.db"), 0, LUAT_KV_IO, "/file: Not a directory (os error 20)");
    check_open_refused_saying(scratch("file/a/kv.db"), 0, LUAT_KV_IO, "Not a directory (os error 20)");
    check_open_refused_saying(scratch("file/kv.db"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO, "(os error 20)");
    CHECK(symlink("nowhere/at/all", scratch("dangling")) == 0);
    check_open_refused(scratch("dangling"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    CHECK_STATUS(luat_kv_open("", NULL, &store, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_open(":memory:", NULL, &store, &error), LUAT_KV_INVALID);
}

/* Each name would have its own log, and writes in one log are lost to users of the other name. */
static void a_file_with_two_names_is_refused(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
    CHECK(link(scratch("kv.db"), scratch("link.db")) == 0);
    check_open_refused(scratch("kv.db"), 0, LUAT_KV_IO);
    check_open_refused(scratch("link.db"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    remove(scratch("link.db"));
    CHECK(symlink("kv.db", scratch("link.db")) == 0); /* SQLite sees whose name that is */
    kv = kv_open(scratch("link.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

static void messages_are_one_line(void)
{
    mkdir(scratch("a\nb\033c"), 0700);
    check_open_refused_saying(scratch("a\nb\033c"), 0, LUAT_KV_IO, "a\\nb\\u{1b}c: Is a directory (os error 21)");
}

static void a_path_that_is_too_long_makes_nothing(void)
{
    enum { LONGEST = 504 };
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", scratch("long"));
    while (strlen(path) < LONGEST - 100)
        strcat(path, "/folder");
    strcat(path, "/");
    memset(path + strlen(path), 'k', LONGEST + 1 - strlen(path));
    path[LONGEST + 1] = '\0';
    check_open_refused_saying(path, 0, LUAT_KV_INVALID, "the path is 505 bytes long");
    CHECK(!exists(scratch("long")));
    path[LONGEST] = '\0';
    struct kv kv = kv_open(path);
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
}

static void a_file_too_short_for_a_header_is_left_alone(void)
{
    for (int size = 1; size < 100; size++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s%d", scratch("short"), size);
        write_file(path, "SQLite format 3");
        CHECK(truncate(path, size) == 0);
        check_open_refused(path, 0, LUAT_KV_CORRUPT);
        CHECK(size_of(path) == size);
    }
}

static void a_format_that_sqlite_does_not_know_is_corrupt(void)
{
    sqlite_answer(scratch("kv.db"), "CREATE TABLE other (a)");
    FILE *file = fopen(scratch("kv.db"), "r+b");
    CHECK(file && fseek(file, 47, SEEK_SET) == 0 && fputc(9, file) == 9 && fclose(file) == 0);
    check_open_refused(scratch("kv.db"), 0, LUAT_KV_CORRUPT);
}

static void a_link_to_a_missing_file_is_followed(void)
{
    mkdir(scratch("there"), 0700);
    CHECK(symlink("there/kv.db", scratch("link.db")) == 0);
    check_open_refused(scratch("link.db"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    struct kv kv = kv_open(scratch("link.db"));
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
    CHECK(mode_of(scratch("there/kv.db")) == 0600);
    kv = kv_open(scratch("there/kv.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

static void an_empty_file_becomes_a_store(void)
{
    write_file(scratch("empty.db"), "");
    struct kv kv = kv_open(scratch("empty.db"));
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

/* ---- For reading only */

static void readonly_reads_and_writes_nothing(void)
{
    uint64_t removed = 7;
    char version[LUAT_KV_VERSION_SIZE];
    luat_kv_entry *entry = GARBAGE;
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
    kv = open_with(scratch("kv.db"), LUAT_KV_OPEN_READONLY, 0);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_has(kv.ns, LUAT_KV_TEXT("missing"), &error), LUAT_KV_NOT_FOUND);
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_MISSING(kv.ns, "missing");
    CHECK(kv_count(kv.ns, "") == 1);
    CHECK_STATUS(kv_put(kv.ns, "key", "another", &error), LUAT_KV_READONLY);
    CHECK_STATUS(kv_put(kv.ns, "new", "value", &error), LUAT_KV_READONLY);
    CHECK_STATUS(kv_delete(kv.ns, "key", &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_remove(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_take(kv.ns, LUAT_KV_TEXT("key"), &entry, &error), LUAT_KV_READONLY);
    CHECK(entry == NULL);
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("another"), NULL, version, &error),
                 LUAT_KV_READONLY);
    CHECK(*version == '\0');
    CHECK_STATUS(luat_kv_sweep(kv.store, 0, &removed, &error), LUAT_KV_READONLY);
    CHECK(removed == 0);
    CHECK_VALUE(kv.ns, "key", "value");

    struct process child = process_start_self("write", scratch("kv.db"), "w", "1"); /* it sees what others write */
    CHECK(process_written(child) == 1);
    kv_check_numbers(kv.ns, "w", 1);
    kv_close(kv);
}

static void readonly_makes_nothing(void)
{
    check_open_refused(scratch("missing.db"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    check_open_refused(scratch("missing/kv.db"), LUAT_KV_OPEN_READONLY, LUAT_KV_IO);
    CHECK(!exists(scratch("missing.db")) && !exists(scratch("missing")));
}

/* ---- A database that another process holds */

static double seconds_since(struct timespec start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

/* A put is refused as busy, after so many seconds at least. (How late it is depends on the machine.) */
static void check_busy(struct kv kv, double least)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK_STATUS(kv_put(kv.ns, "key", "another", &error), LUAT_KV_BUSY);
    double waited = seconds_since(start);
    if (waited < least)
        check_fail(__FILE__, __LINE__, "waited for %.3f s, not for %.3f", waited, least);
    CHECK_VALUE(kv.ns, "key", "value");
}

static void a_write_waits_as_long_as_it_was_told_to(void)
{
    char line[20];
    struct kv now = open_with(scratch("kv.db"), LUAT_KV_OPEN_NOWAIT, 0);
    struct kv soon = open_with(scratch("kv.db"), 0, 300);
    struct kv patient = kv_open(scratch("kv.db"));
    CHECK_PUT(now.ns, "key", "value");
    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("kv.db"), NULL });
    process_write(shell, "BEGIN IMMEDIATE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    check_busy(now, 0);
    check_busy(soon, 0.2);
    CHECK_STATUS(kv_delete(now.ns, "key", &error), LUAT_KV_BUSY);
    CHECK_VALUE(patient.ns, "key", "value");

    process_write(shell, "SELECT 'asked';\n.shell sleep 0.2\nCOMMIT;\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "asked") == 0);
    CHECK_PUT(patient.ns, "key", "at last");
    CHECK(process_end(shell) == 0);
    CHECK_VALUE(now.ns, "key", "at last");
    CHECK_PUT(now.ns, "key", "free again");
    kv_close(now);
    kv_close(soon);
    kv_close(patient);
}

static const struct check_test tests[] = {
    TEST(everything_is_there_after_reopening),
    TEST(another_process_finds_it),
    TEST(what_was_acknowledged_survives_a_kill),
    TEST(eight_processes_make_one_file),
    TEST(limits_hold_for_what_is_asked_not_for_what_is_stored),
    TEST(only_the_owner_may_read_it),
    TEST(a_project_says_where),
    TEST(a_wrong_luat_toml_is_told_with_its_line),
    TEST(a_junk_file_is_corrupt_and_left_alone),
    TEST(a_table_of_another_kind_is_corrupt),
    TEST(what_is_no_file_is_refused),
    TEST(a_file_with_two_names_is_refused),
    TEST(messages_are_one_line),
    TEST(a_path_that_is_too_long_makes_nothing),
    TEST(a_file_too_short_for_a_header_is_left_alone),
    TEST(a_format_that_sqlite_does_not_know_is_corrupt),
    TEST(a_link_to_a_missing_file_is_followed),
    TEST(an_empty_file_becomes_a_store),
    TEST(readonly_reads_and_writes_nothing),
    TEST(readonly_makes_nothing),
    TEST(a_write_waits_as_long_as_it_was_told_to),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
