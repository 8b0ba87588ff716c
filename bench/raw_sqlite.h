/* Raw SQLite, to compare with. */
#ifndef RAW_SQLITE_H
#define RAW_SQLITE_H

#include "sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE = 100, BUSY_MS = 60000 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* The connection of a thread. */
static __thread sqlite3 *db;
static __thread sqlite3_stmt *put, *get;

/* Opens a file, makes its table if it has none, and prepares a statement that puts ?1 and ?2, a key and a value. */
static void raw_open_with(const char *path, const char *table, const char *put_sql)
{
    if (sqlite3_open(path, &db) || sqlite3_busy_timeout(db, BUSY_MS) ||
        sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;", NULL, NULL,
                     NULL) ||
        sqlite3_exec(db, table, NULL, NULL, NULL) || sqlite3_prepare_v2(db, put_sql, -1, &put, NULL) ||
        sqlite3_prepare_v2(db, "SELECT value FROM kv WHERE namespace = 'ns' AND key = ?1", -1, &get, NULL))
        fail("open", sqlite3_errmsg(db));
}

static inline void raw_open(const char *path)
{
    raw_open_with(path,
                  "CREATE TABLE IF NOT EXISTS kv (namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB,"
                  "                               PRIMARY KEY (namespace, key))",
                  "INSERT INTO kv VALUES ('ns', ?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value");
}

static void raw_put(const char *key, size_t key_len, const char *value)
{
    sqlite3_bind_text(put, 1, key, (int)key_len, SQLITE_STATIC);
    sqlite3_bind_blob(put, 2, value, VALUE, SQLITE_STATIC);
    if (sqlite3_step(put) != SQLITE_DONE)
        fail("put", sqlite3_errmsg(db));
    sqlite3_reset(put);
}

/* Returns the length of the copy. */
static inline size_t raw_get(const char *key, size_t key_len, char *value)
{
    sqlite3_bind_text(get, 1, key, (int)key_len, SQLITE_STATIC);
    if (sqlite3_step(get) != SQLITE_ROW)
        fail("get", sqlite3_errmsg(db));
    size_t len = (size_t)sqlite3_column_bytes(get, 0);
    memcpy(value, sqlite3_column_blob(get, 0), len < VALUE ? len : VALUE);
    sqlite3_reset(get);
    return len;
}

#endif
