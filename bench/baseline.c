/*
 * What bench.lua compares with: the least that a Lua 5.4 module on SQLite can do. One kept statement to read, one to
 * write, on a file laid out and tuned as ours is (src/backend/sqlite), and none of what a store must do besides.
 *
 *   db = baseline.open(path)    db:get(key)    db:put(key, value)    db:exec(sql)    db:close()
 *   baseline.now()              nanoseconds of a steady clock, which stock Lua has not
 */
#define _POSIX_C_SOURCE 200809L
#include "sqlite.h"

#include <lauxlib.h>
#include <stddef.h>
#include <time.h>

#define TYPE "baseline"
static const char SETUP[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;"
    "CREATE TABLE IF NOT EXISTS kv ("
    "  namespace TEXT NOT NULL, key TEXT NOT NULL, expiration INTEGER, metadata TEXT, value BLOB,"
    "  PRIMARY KEY (namespace, key))";
static const char GET[] = "SELECT value FROM kv WHERE namespace = ?1 AND key = ?2";
static const char PUT[] =
    "INSERT INTO kv (namespace, key, value) VALUES (?1, ?2, ?3)"
    " ON CONFLICT DO UPDATE SET value = excluded.value, expiration = NULL, metadata = NULL";

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *get, *put;
} baseline;

static int fail(lua_State *L, const baseline *b)
{
    return luaL_error(L, "baseline: %s", sqlite3_errmsg(b->db));
}

static baseline *self(lua_State *L)
{
    baseline *b = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, b->db, 1, "closed");
    return b;
}

static int db_get(lua_State *L)
{
    baseline *b = self(L);
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    sqlite3_bind_text(b->get, 2, key, (int)len, SQLITE_STATIC);
    int step = sqlite3_step(b->get);
    if (step == SQLITE_ROW)
        lua_pushlstring(L, sqlite3_column_blob(b->get, 0), (size_t)sqlite3_column_bytes(b->get, 0));
    else
        lua_pushnil(L);
    sqlite3_reset(b->get);
    return step == SQLITE_ROW || step == SQLITE_DONE ? 1 : fail(L, b);
}

static int db_put(lua_State *L)
{
    baseline *b = self(L);
    size_t key_len, value_len;
    const char *key = luaL_checklstring(L, 2, &key_len);
    const char *value = luaL_checklstring(L, 3, &value_len);
    sqlite3_bind_text(b->put, 2, key, (int)key_len, SQLITE_STATIC);
    sqlite3_bind_blob(b->put, 3, value, (int)value_len, SQLITE_STATIC);
    sqlite3_step(b->put);
    return sqlite3_reset(b->put) == SQLITE_OK ? 0 : fail(L, b);
}

static int db_exec(lua_State *L)
{
    baseline *b = self(L);
    return sqlite3_exec(b->db, luaL_checkstring(L, 2), NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(L, b);
}

static int db_close(lua_State *L)
{
    baseline *b = luaL_checkudata(L, 1, TYPE);
    sqlite3_finalize(b->get);
    sqlite3_finalize(b->put);
    sqlite3_close(b->db);
    *b = (baseline){0};
    return 0;
}

static int db_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    baseline *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (baseline){0};
    luaL_setmetatable(L, TYPE);
    if (sqlite3_open(path, &b->db) != SQLITE_OK
        || sqlite3_exec(b->db, SETUP, NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(b->db, GET, sizeof GET, &b->get, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(b->db, PUT, sizeof PUT, &b->put, NULL) != SQLITE_OK
        /* The namespace is always the same, and stays bound. */
        || sqlite3_bind_text(b->get, 1, "bench", 5, SQLITE_STATIC) != SQLITE_OK
        || sqlite3_bind_text(b->put, 1, "bench", 5, SQLITE_STATIC) != SQLITE_OK)
        return fail(L, b);
    return 1;
}

static int now(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000000000 + t.tv_nsec);
    return 1;
}

int luaopen_baseline(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get", db_get}, {"put", db_put}, {"exec", db_exec}, {"close", db_close}, {"__gc", db_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", db_open}, {"now", now}, {NULL, NULL}};
    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
