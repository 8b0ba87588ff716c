/*
 * Operations on a whole store: its namespaces, stats, compaction, checkpoints and backups.
 */
#define _GNU_SOURCE /* clock.h */
#include "backends.h"
#include "clock.h"
#include "process.h"

static void put_in(luat_kv_store *store, const char *name, const char *key, const luat_kv_put_options *options)
{
    luat_kv_namespace *ns = NULL;
    CHECK_STATUS(luat_kv_namespace_open(store, TEXT(name), &ns, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_put(ns, TEXT(key), LUAT_KV_TEXT("value"), options, &error), LUAT_KV_OK);
    luat_kv_namespace_free(ns);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : 0;
}

/* ---- Namespaces and stats */

static luat_kv_page *namespaces(luat_kv_store *store)
{
    luat_kv_page *page = GARBAGE;
    CHECK_STATUS(luat_kv_namespaces(store, &page, &error), LUAT_KV_OK);
    return page;
}

static void namespaces_with_keys_are_listed(void)
{
    struct kv kv = open_default();
    luat_kv_page *page = namespaces(kv.store);
    CHECK(page && luat_kv_page_len(page) == 0);
    luat_kv_page_free(page);
    put_in(kv.store, "b", "1", NULL);
    put_in(kv.store, "B", "1", NULL);
    put_in(kv.store, "\U00010000", "1", NULL);
    put_in(kv.store, "\uFFFD", "1", NULL);
    put_in(kv.store, "b", "2", NULL);
    CHECK_PUT(kv.ns, "key", "x");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    page = namespaces(kv.store);
    CHECK(luat_kv_page_len(page) == 4);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "B");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 1), "b");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 2), "\uFFFD");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 3), "\U00010000");
    const luat_kv_entry *name = luat_kv_page_at(page, 0);
    CHECK_NO_VIEW(luat_kv_entry_value, name);
    CHECK_NO_VIEW(luat_kv_entry_metadata, name);
    CHECK_NO_VIEW(luat_kv_entry_version, name);
    CHECK(luat_kv_entry_expiration(name) == 0);
    CHECK_NO_VIEW(luat_kv_page_cursor, page);
    luat_kv_page_free(page);
    kv_close(kv);
}

static luat_kv_stats *stats_read(luat_kv_store *store)
{
    luat_kv_stats *stats = GARBAGE;
    CHECK_STATUS(luat_kv_stats_read(store, &stats, &error), LUAT_KV_OK);
    return stats;
}

static const uint8_t *second_name(const luat_kv_stats *stats, size_t *len)
{
    return luat_kv_stats_name(stats, 1, len);
}

static const uint8_t *third_name(const luat_kv_stats *stats, size_t *len)
{
    return luat_kv_stats_name(stats, 2, len);
}

static void stats_tell_what_a_store_holds(void)
{
    luat_kv_put_options options;
    struct kv kv = open_default();
    luat_kv_stats *stats = stats_read(kv.store);
    CHECK(luat_kv_stats_len(stats) == 0);
    luat_kv_stats_free(stats);

    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 1;
    put_in(kv.store, "b\\", "1", NULL);
    put_in(kv.store, "b\\", "2", NULL);
    put_in(kv.store, "a", "ends", &options);
    put_in(kv.store, "b\\", "ends", &options);
    clock_advance(3); /* a lifetime of a second is over within two, and a tick of the clock */
    stats = stats_read(kv.store);
    CHECK(luat_kv_stats_len(stats) == 2);
    CHECK_VIEW(second_name, stats, "b\\");
    CHECK(luat_kv_stats_live(stats, 0) == 0 && luat_kv_stats_expired(stats, 0) == 1);
    CHECK(luat_kv_stats_live(stats, 1) == 2 && luat_kv_stats_expired(stats, 1) == 1);
    CHECK(luat_kv_stats_live(stats, 2) == 0 && luat_kv_stats_expired(stats, SIZE_MAX) == 0);
    CHECK_NO_VIEW(third_name, stats);
    if (backend == MEMORY)
        CHECK(luat_kv_stats_file_size(stats) == 0 && strcmp(luat_kv_stats_path(stats), "memory") == 0);
    else if (backend == DISK)
        CHECK(luat_kv_stats_file_size(stats) >= 4096 && strcmp(luat_kv_stats_path(stats), scratch("kv.db")) == 0);
    else
        CHECK(luat_kv_stats_file_size(stats) >= 4096 && strncmp(luat_kv_stats_path(stats), "postgresql://", 13) == 0);

    CHECK(strcmp(luat_kv_store_path(kv.store), luat_kv_stats_path(stats)) == 0);

    luat_kv_page *page = namespaces(kv.store); /* with live keys only */
    CHECK(luat_kv_page_len(page) == 1);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "b\\");
    luat_kv_page_free(page);
    kv_close(kv);
    CHECK_VIEW(second_name, stats, "b\\"); /* they are as they were counted */
    luat_kv_stats_free(stats);
}

static void housekeeping_needs_its_arguments(void)
{
    struct kv kv = open_default();
    luat_kv_page *page = GARBAGE;
    luat_kv_stats *stats = GARBAGE;
    int complete = 7;
    CHECK_STATUS(luat_kv_namespaces(NULL, &page, &error), LUAT_KV_INVALID);
    CHECK(page == NULL);
    CHECK_STATUS(luat_kv_namespaces(kv.store, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_stats_read(NULL, &stats, &error), LUAT_KV_INVALID);
    CHECK(stats == NULL);
    CHECK_STATUS(luat_kv_stats_read(kv.store, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_compact(NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_checkpoint(NULL, &complete, &error), LUAT_KV_INVALID);
    CHECK(complete == 0);
    CHECK_STATUS(luat_kv_checkpoint(kv.store, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_backup(NULL, scratch("copy.db"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_backup(kv.store, NULL, &error), LUAT_KV_INVALID);
    CHECK(access(scratch("copy.db"), F_OK) != 0);
    CHECK(strcmp(luat_kv_store_path(NULL), "") == 0);
    CHECK(strcmp(luat_kv_stats_path(NULL), "") == 0 && luat_kv_stats_file_size(NULL) == 0);
    CHECK(luat_kv_stats_len(NULL) == 0 && luat_kv_stats_live(NULL, 0) == 0 && luat_kv_stats_expired(NULL, 0) == 0);
    CHECK_NO_VIEW(second_name, NULL);
    luat_kv_stats_free(NULL);
    kv_close(kv);
}

static void housekeeping_in_memory_has_nothing_to_do(void)
{
    struct kv kv = kv_memory();
    int complete = 7;
    CHECK_PUT(kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_compact(kv.store, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_checkpoint(kv.store, &complete, &error), LUAT_KV_OK);
    CHECK(complete == 1);
    CHECK_REFUSED(luat_kv_backup(kv.store, scratch("copy.db"), &error), LUAT_KV_INVALID, "export");
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

/* ---- On disk */

static void compaction_gives_room_back(void)
{
    enum { LEN = 100 * 1000 };
    static uint8_t value[LEN];
    char key[20];
    struct kv kv = kv_open(scratch("kv.db"));
    for (int number = 0; number < 50; number++) {
        snprintf(key, sizeof key, "big%d", number);
        CHECK_STATUS(luat_kv_put(kv.ns, TEXT(key), value, LEN, NULL, &error), LUAT_KV_OK);
    }
    kv_put_numbers(kv.ns, "k", 10);
    CHECK_STATUS(luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("big"), NULL, &error), LUAT_KV_OK);
    luat_kv_stats *before = stats_read(kv.store);
    CHECK_STATUS(luat_kv_compact(kv.store, &error), LUAT_KV_OK);
    luat_kv_stats *after = stats_read(kv.store);
    CHECK(luat_kv_stats_file_size(before) > 50 * LEN);
    CHECK(luat_kv_stats_file_size(after) < LEN);
    CHECK(luat_kv_stats_file_size(after) == (uint64_t)size_of(scratch("kv.db")));
    luat_kv_stats_free(before);
    luat_kv_stats_free(after);
    kv_check_numbers(kv.ns, "k", 10);
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

static void a_checkpoint_tells_whether_all_is_in_the_file(void)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    char line[20];
    int complete = 7;
    luat_kv_open_options_init(&options, sizeof options);
    options.busy_timeout_ms = 50;
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    struct kv kv = kv_over(store);
    kv_put_numbers(kv.ns, "k", 10);
    CHECK(size_of(scratch("kv.db-wal")) > 0);
    CHECK_STATUS(luat_kv_checkpoint(store, &complete, &error), LUAT_KV_OK);
    CHECK(complete == 1 && size_of(scratch("kv.db-wal")) == 0);

    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("kv.db"), NULL });
    process_write(shell, "BEGIN;\nSELECT count(*) FROM kv;\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "10") == 0);
    kv_put_numbers(kv.ns, "l", 10);
    CHECK_STATUS(luat_kv_checkpoint(store, &complete, &error), LUAT_KV_OK);
    CHECK(complete == 0);
    CHECK(process_end(shell) == 0);
    CHECK_STATUS(luat_kv_checkpoint(store, &complete, &error), LUAT_KV_OK);
    CHECK(complete == 1);
    kv_close(kv);
}

static void readonly_is_left_as_it_is(void)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    int complete = 7;
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    kv_close(kv);
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_READONLY;
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    kv = kv_over(store);
    CHECK_STATUS(luat_kv_compact(store, &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_checkpoint(store, &complete, &error), LUAT_KV_READONLY);
    CHECK(complete == 0);
    CHECK_STATUS(luat_kv_clear(kv.ns, NULL, &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, NULL, NULL, &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 0, 0, &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("n"), LUAT_KV_TEXT("1"), NULL, &error), LUAT_KV_READONLY);
    CHECK_STATUS(luat_kv_backup(store, scratch("copy.db"), &error), LUAT_KV_OK); /* which only reads */
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
    kv = kv_open(scratch("copy.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

/* ---- Backups */

static void a_backup_is_a_store_of_its_own(void)
{
    struct stat status;
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("[1]") };
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("a\0b"), LUAT_KV_TEXT("\0\xff"), &options, &error), LUAT_KV_OK);
    put_in(kv.store, "other", "key", NULL);
    CHECK_STATUS(luat_kv_backup(kv.store, scratch("copy.db"), &error), LUAT_KV_OK);
    CHECK(stat(scratch("copy.db"), &status) == 0 && (status.st_mode & 07777) == 0600);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("a\0b"), &error), LUAT_KV_OK);

    struct kv copy = kv_open(scratch("copy.db"));
    luat_kv_entry *entry = NULL;
    CHECK_STATUS(luat_kv_get_entry(copy.ns, LUAT_KV_TEXT("a\0b"), &entry, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_value, entry, "\0\xff");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "[1]");
    CHECK(luat_kv_entry_expiration(entry) == 4000000000);
    luat_kv_entry_free(entry);
    luat_kv_page *page = namespaces(copy.store);
    CHECK(luat_kv_page_len(page) == 2);
    luat_kv_page_free(page);
    CHECK_PUT(copy.ns, "new", "value");
    CHECK_MISSING(kv.ns, "new");
    kv_close(copy);
    kv_close(kv);
    CHECK_INTEGRITY(scratch("copy.db"));
}

static void a_backup_replaces_nothing(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    FILE *file = fopen(scratch("there"), "wb");
    CHECK(file && fputs("a letter", file) >= 0 && fclose(file) == 0);
    CHECK_REFUSED(luat_kv_backup(kv.store, scratch("there"), &error), LUAT_KV_IO, "/there: File exists (os error 17)");
    CHECK(size_of(scratch("there")) == 8);
    CHECK_STATUS(luat_kv_backup(kv.store, scratch("kv.db"), &error), LUAT_KV_IO);
    CHECK_STATUS(luat_kv_backup(kv.store, scratch("missing/copy.db"), &error), LUAT_KV_IO);
    CHECK_STATUS(luat_kv_backup(kv.store, scratch(""), &error), LUAT_KV_IO);
    luat_kv_error *error = GARBAGE;
    luat_kv_status status = luat_kv_backup(kv.store, "", &error);
    CHECK(status == LUAT_KV_IO || status == LUAT_KV_INVALID);
    luat_kv_error_free(error);
    CHECK_VALUE(kv.ns, "key", "value");
    kv_close(kv);
}

static void backups_while_another_process_writes(void)
{
    enum { BACKUPS = 8, WRITES = 3000 };
    char line[20], name[20];
    uint64_t last = 0;
    struct kv kv = kv_open(scratch("kv.db"));
    struct process child = process_start_self("write", scratch("kv.db"), "w", "3000");
    CHECK(process_read(child, line, sizeof line));
    for (int number = 0; number < BACKUPS; number++) {
        snprintf(name, sizeof name, "copy%d.db", number);
        CHECK_STATUS(luat_kv_backup(kv.store, scratch(name), &error), LUAT_KV_OK);
    }
    CHECK(process_written(child) == WRITES);
    kv_close(kv);
    for (int number = 0; number < BACKUPS; number++) {
        uint64_t count = 0;
        snprintf(name, sizeof name, "copy%d.db", number);
        CHECK_INTEGRITY(scratch(name));
        struct kv copy = kv_open(scratch(name));
        CHECK_STATUS(luat_kv_count(copy.ns, LUAT_KV_TEXT(""), &count, &error), LUAT_KV_OK);
        kv_check_numbers(copy.ns, "w", (int)count); /* the first ones, without a gap */
        CHECK(count >= last && count > 0);
        last = count;
        kv_close(copy);
    }
}

static const struct check_test tests[] = {
    TEST(namespaces_with_keys_are_listed),
    TEST(stats_tell_what_a_store_holds),
    TEST(housekeeping_needs_its_arguments),
};

static const struct check_test particular[] = {
    TEST(housekeeping_in_memory_has_nothing_to_do),
    TEST(compaction_gives_room_back),
    TEST(a_checkpoint_tells_whether_all_is_in_the_file),
    TEST(readonly_is_left_as_it_is),
    TEST(a_backup_is_a_store_of_its_own),
    TEST(a_backup_replaces_nothing),
    TEST(backups_while_another_process_writes),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_both_backends(tests);
    check_tests("", particular);
    return check_done();
}
