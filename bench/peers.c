/*
 * luat_kv beside raw SQLite, LMDB and Redis, from C: get and put at each of their levels of durability.
 *
 *   peers FOLDER      FOLDER lies on a disk; it has the sockets none, everysec and always of Redis servers (bench/run)
 *
 * Prints "operation, store, value, unit" with tabs between them. Only ratios of one run say something: so all stores take
 * turns, and a figure is the median of the rounds. Each get and put is an operation of its own, without pipelines.
 */
#define _DEFAULT_SOURCE
#include "luat_kv.h"
#include "sqlite.h"

#include <hiredis/hiredis.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* HOT of the keys are put and read. Where a put waits for the disk there are fewer: the time is the disk's. */
enum { KEYS = 20000, HOT = 2000, SYNCED_KEYS = 1000, SYNCED_PUTS = 100, KEY = 13, VALUE = 100, ROUNDS = 15 };

static char keys[KEYS][KEY + 1], value[VALUE + 1];

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- luat_kv: with its cache, without, and with a sync for each put */

static void ours_check(luat_kv_status status, luat_kv_error *error)
{
    if (status < 0)
        fail("luat_kv", luat_kv_error_message(error));
}

static void *ours_open(const char *path, int level)
{
    luat_kv_error *error = NULL;
    luat_kv_open_options options;
    luat_kv_store *store;
    luat_kv_namespace *ns;
    luat_kv_open_options_init(&options, sizeof options);
    options.durability = level == 2 ? LUAT_KV_DURABILITY_FULL : LUAT_KV_DURABILITY_NORMAL;
    options.flags = level == 1 ? LUAT_KV_OPEN_NO_CACHE : 0;
    ours_check(luat_kv_open(path, &options, &store, &error), error);
    ours_check(luat_kv_namespace_open(store, LUAT_KV_TEXT("bench"), &ns, &error), error);
    return ns;
}

static size_t ours_get(void *ns, const char *key)
{
    luat_kv_error *error = NULL;
    uint8_t got[VALUE];
    size_t len;
    ours_check(luat_kv_get(ns, key, KEY, got, sizeof got, &len, &error), error);
    return len;
}

static void ours_put(void *ns, const char *key)
{
    luat_kv_error *error = NULL;
    ours_check(luat_kv_put(ns, key, KEY, value, VALUE, NULL, &error), error);
}

/* ---- SQLite: a table with our columns, one kept statement to read and one to write */

struct raw {
    sqlite3 *db;
    sqlite3_stmt *get, *put;
};

static void *raw_open(const char *path, int level)
{
    struct raw *raw = calloc(1, sizeof *raw);
    if (!raw || sqlite3_open(path, &raw->db) ||
        sqlite3_exec(raw->db,
                     "PRAGMA journal_mode = WAL; PRAGMA cache_size = -16384;"
                     "CREATE TABLE kv (namespace TEXT NOT NULL, key TEXT NOT NULL, expiration INTEGER, metadata TEXT,"
                     "                 value BLOB, PRIMARY KEY (namespace, key))",
                     NULL, NULL, NULL) ||
        sqlite3_exec(raw->db, level ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL, NULL, NULL) ||
        sqlite3_prepare_v2(raw->db, "SELECT value FROM kv WHERE namespace = 'bench' AND key = ?1", -1, &raw->get, NULL) ||
        sqlite3_prepare_v2(raw->db,
                           "INSERT INTO kv (namespace, key, value) VALUES ('bench', ?1, ?2) ON CONFLICT DO UPDATE"
                           " SET value = excluded.value, expiration = NULL, metadata = NULL",
                           -1, &raw->put, NULL))
        fail("SQLite", raw ? sqlite3_errmsg(raw->db) : "no memory");
    return raw;
}

static size_t raw_get(void *to, const char *key)
{
    struct raw *raw = to;
    char got[VALUE];
    size_t len = 0;
    sqlite3_bind_text(raw->get, 1, key, KEY, SQLITE_STATIC);
    if (sqlite3_step(raw->get) == SQLITE_ROW && (len = (size_t)sqlite3_column_bytes(raw->get, 0)) <= VALUE)
        memcpy(got, sqlite3_column_blob(raw->get, 0), len);
    sqlite3_reset(raw->get);
    return len;
}

static void raw_put(void *to, const char *key)
{
    struct raw *raw = to;
    sqlite3_bind_text(raw->put, 1, key, KEY, SQLITE_STATIC);
    sqlite3_bind_blob(raw->put, 2, value, VALUE, SQLITE_STATIC);
    sqlite3_step(raw->put);
    if (sqlite3_reset(raw->put))
        fail("SQLite", sqlite3_errmsg(raw->db));
}

/* ---- LMDB: a transaction for each operation; to read, the same one renewed, as its documentation recommends */

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reading;
};

static void lmdb_check(int code)
{
    if (code)
        fail("LMDB", mdb_strerror(code));
}

static void *lmdb_open(const char *path, int level)
{
    struct lmdb *lmdb = calloc(1, sizeof *lmdb);
    MDB_txn *txn;
    if (!lmdb)
        fail("LMDB", "no memory");
    lmdb_check(mdb_env_create(&lmdb->env));
    lmdb_check(mdb_env_set_mapsize(lmdb->env, (size_t)1 << 30));
    lmdb_check(mdb_env_open(lmdb->env, path, MDB_NOSUBDIR | (level ? 0 : MDB_NOSYNC), 0644));
    lmdb_check(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
    lmdb_check(mdb_dbi_open(txn, NULL, 0, &lmdb->dbi));
    lmdb_check(mdb_txn_commit(txn));
    lmdb_check(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reading));
    mdb_txn_reset(lmdb->reading);
    return lmdb;
}

static size_t lmdb_get(void *to, const char *key)
{
    struct lmdb *lmdb = to;
    char got[VALUE];
    MDB_val name = {KEY, (void *)key}, found;
    lmdb_check(mdb_txn_renew(lmdb->reading));
    lmdb_check(mdb_get(lmdb->reading, lmdb->dbi, &name, &found));
    if (found.mv_size <= VALUE)
        memcpy(got, found.mv_data, found.mv_size);
    mdb_txn_reset(lmdb->reading);
    return found.mv_size;
}

static void lmdb_put(void *to, const char *key)
{
    struct lmdb *lmdb = to;
    MDB_val name = {KEY, (void *)key}, data = {VALUE, value};
    MDB_txn *txn;
    lmdb_check(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
    lmdb_check(mdb_put(txn, lmdb->dbi, &name, &data, 0));
    lmdb_check(mdb_txn_commit(txn));
}

/* ---- Redis: over the Unix socket at the path */

static redisReply *redis(redisContext *redis, int count, const char **words, const size_t *lens)
{
    redisReply *reply = redisCommandArgv(redis, count, words, lens);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail("Redis", reply ? reply->str : redis->errstr);
    return reply;
}

static void *redis_open(const char *path, int level)
{
    redisContext *context = redisConnectUnix(path);
    (void)level;
    if (!context || context->err)
        fail(path, context ? context->errstr : "no memory");
    return context;
}

static size_t redis_get(void *to, const char *key)
{
    redisReply *reply = redis(to, 2, (const char *[]){"GET", key}, (const size_t[]){3, KEY});
    size_t len = reply->len;
    freeReplyObject(reply);
    return len;
}

static void redis_put(void *to, const char *key)
{
    freeReplyObject(redis(to, 3, (const char *[]){"SET", key, value}, (const size_t[]){3, KEY, VALUE}));
}

/* ---- Rounds */

struct store {
    const char *name, *file;
    void *(*open)(const char *path, int level);
    size_t (*get)(void *to, const char *key);
    void (*put)(void *to, const char *key);
    int level;
    bool synced; /* each put waits for the disk */
    void *to;
    double gets[ROUNDS], puts[ROUNDS]; /* µs */
};

#define OURS ours_open, ours_get, ours_put
#define RAW raw_open, raw_get, raw_put
#define LMDB lmdb_open, lmdb_get, lmdb_put
#define REDIS redis_open, redis_get, redis_put
static struct store stores[] = {
    {.name = "luat_kv, normal", .file = "ours.db", OURS, 0, false},
    {.name = "luat_kv, normal, no cache", .file = "uncached.db", OURS, 1, false},
    {.name = "luat_kv, full", .file = "full.db", OURS, 2, true},
    {.name = "SQLite, NORMAL", .file = "raw.db", RAW, 0, false},
    {.name = "SQLite, FULL", .file = "raw-full.db", RAW, 1, true},
    {.name = "LMDB, NOSYNC", .file = "lmdb", LMDB, 0, false},
    {.name = "LMDB, sync", .file = "lmdb-sync", LMDB, 1, true},
    {.name = "Redis, no persistence", .file = "none", REDIS, 0, false},
    {.name = "Redis, appendfsync everysec", .file = "everysec", REDIS, 0, false},
    {.name = "Redis, appendfsync always", .file = "always", REDIS, 0, true},
};
enum { STORES = sizeof stores / sizeof *stores };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* SQLite writes nothing if a row stays as it is, so each round has another value. */
static void new_value(void)
{
    static unsigned count;
    for (int at = 0; at < VALUE; at += 10)
        snprintf(value + at, sizeof value - (size_t)at, "%010u", count);
    count++;
}

/* Returns µs for each. */
static double put_some(struct store *store, int count)
{
    new_value();
    double begin = now();
    for (int i = 0; i < count; i++)
        store->put(store->to, keys[i]);
    return (now() - begin) / count;
}

static double get_some(struct store *store, int count)
{
    double begin = now();
    for (int i = 0; i < count; i++)
        if (store->get(store->to, keys[i % HOT]) != VALUE)
            fail(store->name, "a value has another length");
    return (now() - begin) / count;
}

static void measure(struct store *store, int round)
{
    store->puts[round] = put_some(store, store->synced ? SYNCED_PUTS : HOT);
    if (store->synced)
        return;
    get_some(store, 2 * HOT); /* so that those that are measured are hot */
    store->gets[round] = get_some(store, 10 * HOT);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times)
{
    qsort(times, ROUNDS, sizeof *times, by_size);
    return times[ROUNDS / 2];
}

/* In an order that has nothing to do with the keys'. */
static void name_keys(void)
{
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "key:%09d", (int)(i * 7919L % KEYS));
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage", "peers FOLDER");
    name_keys();
    for (int i = 0; i < STORES; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], stores[i].file);
        stores[i].to = stores[i].open(path, stores[i].level);
    }
    printf("version\tSQLite\t%s\nversion\tLMDB\t%d.%d.%d\nversion\thiredis\t%d.%d.%d\n", sqlite3_libversion(),
           MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    for (int i = 0; i < STORES; i++)
        put_some(&stores[i], stores[i].synced ? SYNCED_KEYS : KEYS);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < STORES; i++)
            measure(&stores[i], round);
    for (int i = 0; i < STORES; i++) {
        if (!stores[i].synced)
            printf("get\t%s\t%.3f\tµs\n", stores[i].name, median(stores[i].gets));
        printf("put\t%s\t%.3f\tµs\n", stores[i].name, median(stores[i].puts));
    }
    return 0;
}
