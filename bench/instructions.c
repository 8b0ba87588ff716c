/*
 * What bench/instructions counts: instructions MODE COUNT FILE [IMPORT] runs one operation so many times on a store with
 * 1000 entries of 100 bytes. The store is on disk at FILE, or in memory where FILE is "memory". The mode `import` imports
 * the file IMPORT once instead.
 */
#include <luat_kv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 1000, BATCH = 100 };

static luat_kv_store *store;
static luat_kv_namespace *ns;
static uint8_t value[100];

static void check(luat_kv_status status, luat_kv_error *error)
{
    if (status >= 0) return;
    fprintf(stderr, "%s\n", luat_kv_error_message(error));
    exit(1);
}

/* Of 10 bytes each, made beforehand so that an operation does not count that. */
static char keys[ENTRIES][16], missing_keys[ENTRIES][16];
enum { KEY = 10 };

static void name_keys(void)
{
    for (int number = 0; number < ENTRIES; number++) {
        sprintf(keys[number], "key:%06d", number);
        sprintf(missing_keys[number], "Key:%06d", number);
    }
}

static const char *key(long number)
{
    return keys[number % ENTRIES];
}

static void get(long number)
{
    luat_kv_error *error = NULL;
    uint8_t out[sizeof value];
    size_t size;
    check(luat_kv_get(ns, key(number), KEY, out, sizeof out, &size, &error), error);
}

/* One of 10 keys. */
static void hot(long number)
{
    get(number % 10);
}

static void missing(long number)
{
    luat_kv_error *error = NULL;
    size_t size;
    check(luat_kv_get(ns, missing_keys[number % ENTRIES], KEY, NULL, 0, &size, &error), error);
}

/* One of 10 keys. */
static void hot_missing(long number)
{
    missing(number % 10);
}

static void put(long number)
{
    luat_kv_error *error = NULL;
    check(luat_kv_put(ns, key(number), KEY, value, sizeof value, NULL, &error), error);
}

/* A key that is not there yet. */
static void put_new(long number)
{
    luat_kv_error *error = NULL;
    check(luat_kv_put(ns, missing_keys[number % ENTRIES], KEY, value, sizeof value, NULL, &error), error);
}

static void delete(long number)
{
    luat_kv_error *error = NULL;
    check(luat_kv_delete(ns, key(number), KEY, &error), error);
}

static void incr(long number)
{
    luat_kv_error *error = NULL;
    (void)number;
    check(luat_kv_incr(ns, "count", 5, 1, NULL, NULL, &error), error);
}

static void list_some(uint32_t limit, const char *prefix)
{
    luat_kv_error *error = NULL;
    luat_kv_list_options options;
    luat_kv_page *page;
    luat_kv_list_options_init(&options, sizeof options);
    options.limit = limit;
    options.prefix.data = prefix;
    options.prefix.len = strlen(prefix);
    check(luat_kv_list(ns, &options, &page, &error), error);
    luat_kv_page_free(page);
}

/* A page of 100 names. */
static void list(long number)
{
    (void)number;
    list_some(100, "");
}

static void one(long number)
{
    (void)number;
    list_some(1, "");
}

/* All 10 keys with a prefix. */
static void prefix(long number)
{
    (void)number;
    list_some(1000, "key:00012");
}

static void stats(long number)
{
    luat_kv_error *error = NULL;
    luat_kv_stats *stats;
    (void)number;
    check(luat_kv_stats_read(store, &stats, &error), error);
    luat_kv_stats_free(stats);
}

static const char *path;

/* The only store on the file. */
static void reopen(long number)
{
    luat_kv_error *error = NULL;
    (void)number;
    luat_kv_namespace_free(ns);
    luat_kv_close(store);
    check(luat_kv_open(path, NULL, &store, &error), error);
    check(luat_kv_namespace_open(store, "bench", 5, &ns, &error), error);
}

/* 100 puts in one commit. */
static void batch(long number)
{
    luat_kv_error *error = NULL;
    luat_kv_batch *batch;
    check(luat_kv_batch_open(store, &batch, &error), error);
    for (long i = 0; i < BATCH; i++)
        check(luat_kv_batch_put(batch, ns, key(number + i), KEY, value, sizeof value, NULL, &error), error);
    check(luat_kv_batch_commit(batch, &error), error);
    luat_kv_batch_free(batch);
}

static int import(const char *file)
{
    luat_kv_error *error = NULL;
    check(luat_kv_import(ns, file, 0, NULL, NULL, &error), error);
    return 0;
}

static const struct {
    const char *name;
    void (*run)(long number);
} MODES[] = {
    {"get", get},       {"hot", hot},   {"missing", missing}, {"hot-missing", hot_missing},
    {"put", put},       {"put-new", put_new}, {"delete", delete}, {"incr", incr},
    {"list", list},
    {"one", one},       {"prefix", prefix}, {"batch", batch}, {"stats", stats},
    {"reopen", reopen},
};

int main(int argc, char **argv)
{
    luat_kv_error *error = NULL;
    if (argc < 4) return 2;
    long count = atol(argv[2]);
    name_keys();
    path = argv[3];
    int in_memory = strcmp(path, "memory") == 0;
    check(in_memory ? luat_kv_open_memory(NULL, &store, &error)
                    : luat_kv_open(path, NULL, &store, &error), error);
    check(luat_kv_namespace_open(store, "bench", 5, &ns, &error), error);
    for (long number = 0; number < ENTRIES; number += BATCH) batch(number);
    if (argc == 5) return import(argv[4]);
    for (size_t mode = 0; mode < sizeof MODES / sizeof *MODES; mode++) {
        if (strcmp(argv[1], MODES[mode].name) != 0) continue;
        for (long number = 0; number < count; number++) MODES[mode].run(number);
        luat_kv_namespace_free(ns);
        luat_kv_close(store);
        return 0;
    }
    return 2;
}
