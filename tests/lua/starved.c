/*
 * Lua's memory runs out at every point of the module's work, one after another: each time the result is a Lua error and
 * nothing more, and the store remains usable. It is a host of its own, since only a host can choose Lua's allocator.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* How many allocations there are left; fewer than 0 is no limit. */
static long left = -1;

static void *allocate(void *unused, void *block, size_t old_size, size_t size)
{
    (void)unused;
    if (size == 0) {
        free(block);
        return NULL;
    }
    if (left == 0 && (!block || size > old_size))
        return NULL;
    if (left > 0)
        left--;
    return realloc(block, size);
}

static const char load[] =
    "KV = require('luat_kv')\n"
    "store = KV.open({ memory = true })\n"
    "kv = store:namespace('n')\n"
    "for i = 1, 20 do\n"
    "  kv:put('k' .. i, { i, 'x\\ny', { a = KV.null } }, { metadata = { i = i } })\n"
    "end\n";

static const char work[] =
    "local kv = store:namespace('n')\n"
    "kv:put('new', { 1, 2, { 3, k = 'v' } }, { metadata = { 'm' }, expirationTtl = 100 })\n"
    "assert(kv:get('k1') == '[1,\"x\\\\ny\",{\"a\":null}]')\n"
    "assert(kv:get('k2', 'json')[1] == 2)\n"
    "local value, meta = kv:getWithMetadata('k3', 'json')\n"
    "assert(value[1] == 3 and meta.metadata.i == 3)\n"
    "assert(#kv:list({ limit = 7 }).keys == 7)\n"
    "assert(#KV.json.decode('[1,[2,[3,{\"a\":\"\\\\u0041\"}]]]') == 2)\n"
    "KV.json.encode({ 1, 2, a = KV.array() })\n"
    "tostring(kv) tostring(store) KV.install({})\n"
    "local found = kv:getWithMetadata({ 'k1', 'k2', 'none' }, 'json')\n"
    "assert(found.k1.value[1] == 1 and found.k2.metadata.i == 2 and not found.none)\n"
    "assert(kv:get({ 'k1', 'k1' }).k1)\n"
    "local sum = 0\n"
    "for _, key in kv:each({ prefix = 'k1', values = 'json', reverse = true }) do sum = sum + key.value[1] end\n"
    "assert(sum == 1 + 145)\n"
    "local taken, about = kv:take('k4', 'json')\n"
    "assert(taken[1] == 4 and about.metadata.i == 4 and not kv:has('k4') and not kv:delete('k4'))\n"
    "kv:incr('n', 1, { initial = 5 }) kv:add('once', { 1 }) kv:touch('once', { expirationTtl = 9 }) kv:count()\n"
    "local done, version = kv:atomic():check('k3', meta.version):put('b', { 1 }):incr('n'):delete('once')\n"
    "  :namespace('o'):put('c', 'd'):commit()\n"
    "assert(done and #version == 16)\n"
    "kv:deletePrefix('b') store:namespaces() store:stats() store:checkpoint()\n"
    "local file = assert(io.tmpfile()) kv:export(file) file:seek('set') store:namespace('p'):import(file) file:close()\n"
    "local watch = kv:watch({ prefix = 'w', values = true, type = 'json', timeout = 0 })\n"
    "kv:put('w1', { 1 }) kv:put('w2', { 2 }, { metadata = { 'm' } }) tostring(watch)\n"
    "for change in watch do sum = sum + change.value[1] end\n"
    "kv:delete('w1') assert(sum == 149 and watch:next(0)[1].type == 'delete' and watch:fd())\n"
    "kv:watch({ since = watch:token() }):close() watch:close()\n"
    "pcall(kv.get, kv, nil) pcall(kv.put, kv, 'k', 'v', { nonsense = 1 }) pcall(kv.get, kv, 'k1', 'jsn')\n"
    "local other = KV.open({ memory = true }) other:namespace('o') other:close()\n";

static const char work_on[] =
    "local kv = store:namespace('n')\n"
    "assert(kv:get('k1', 'json')[1] == 1)\n"
    "kv:put('after', 'v')\n"
    "assert(kv:get('after') == 'v')\n"
    "collectgarbage()\n";

/* An entry of which much is allocated when it is returned. */
static const char load_to_take[] =
    "KV = require('luat_kv')\n"
    "kv = KV.open({ memory = true }):namespace('n')\n"
    "local long = {}\n"
    "for i = 1, 100 do long[i] = { tostring(i) } end\n"
    "kv:put('k', long, { metadata = long })\n"
    "taken = false\n";

static const char take[] = "taken = kv:take('k', 'json')\n";

/* It was returned or it is still there, and never neither. */
static const char take_again[] =
    "assert(kv:has('k') == not taken)\n"
    "local value, meta = kv:take('k', 'json')\n"
    "assert(#(taken or value) == 100 and (taken or #meta.metadata == 100))\n"
    "assert(kv:count() == 0)\n";

/* Changes of which much is allocated when they are returned. */
static const char load_to_watch[] =
    "KV = require('luat_kv')\n"
    "kv = KV.open({ memory = true }):namespace('n')\n"
    "kv:put('gone', '')\n"
    "watch = kv:watch({ values = true, type = 'json', timeout = 0 })\n"
    "local long = {}\n"
    "for i = 1, 50 do long[i] = { tostring(i) } end\n"
    "for i = 1, 3 do kv:put('k' .. i, long, { metadata = long }) end\n"
    "kv:delete('gone')\n"
    "told, count = {}, 0\n"
    "function tell(change) told[change.name], count = change, count + 1 end\n"
    "for _, name in ipairs({ 'gone', 'k1', 'k2', 'k3' }) do told[name] = false end\n";

static const char watch_all[] =
    "local changes = watch:next(0)\n"
    "for i = 1, #changes do tell(changes[i]) end\n";

static const char watch_each[] = "for change in watch do tell(change) end\n";

/* Each was returned once, or comes now, also from a watch that goes on from here. */
static const char watch_again[] =
    "local later = kv:watch({ since = watch:token() })\n"
    "local left, as_many = watch:next(0) or {}, later:next(0) or {}\n"
    "assert(#left == #as_many)\n"
    "for _, change in ipairs(left) do tell(change) end\n"
    "assert(count == 4 and told.gone.type == 'delete' and not watch:next(0))\n"
    "for i = 1, 3 do assert(#told['k' .. i].value == 50 and #told['k' .. i].metadata == 50) end\n";

static bool is_done(lua_State *lua, int status, const char *when, long allocations)
{
    if (status)
        printf("# %s %ld allocations: %s\n", when, allocations, lua_tostring(lua, -1));
    lua_settop(lua, 0);
    return status == LUA_OK;
}

/* Runs code with so many allocations; answers whether all went as it should, and whether they were enough. */
static bool starve(const char *before, const char *code, const char *after, long allocations, bool *enough)
{
    lua_State *lua = lua_newstate(allocate, NULL);
    luaL_openlibs(lua);
    bool good = is_done(lua, luaL_dostring(lua, before), "before", allocations);
    good &= luaL_loadstring(lua, code) == LUA_OK;
    left = allocations;
    int status = lua_pcall(lua, 0, 0, 0);
    *enough = left > 0;
    left = -1;
    if (status == LUA_ERRMEM)
        lua_settop(lua, 0);
    else
        good &= is_done(lua, status, "with", allocations);
    good &= is_done(lua, luaL_dostring(lua, after), "after", allocations);
    lua_close(lua);
    return good;
}

static void starve_ever_later(int number, const char *name, const char *before, const char *code, const char *after)
{
    bool good = true, enough = false;
    long allocations = 0;
    while (!enough && good)
        good = starve(before, code, after, allocations++, &enough);
    good &= allocations > 100; /* else it was not starved at all */
    printf("# %ld points\n%s %d - %s\n", allocations, good ? "ok" : "not ok", number, name);
}

static const char big[] =
    "KV = require('luat_kv')\n"
    "kv = KV.open({ memory = true }):namespace('n')\n"
    "big, texts = {}, { ('x'):rep(1000000), ('\\n'):rep(1000000), 12345.5, true, KV.null, { a = 1 } }\n"
    "for i = 1, 50 do\n"
    "  big[i] = { texts[1], texts[2] }\n"
    "end\n"
    "long = { {}, {}, {}, {} }\n"
    "for kind = 1, 4 do\n"
    "  for i = 1, 3000000 do long[kind][i] = texts[kind + 2] end\n"
    "end\n"
    "function is_told(fn, ...)\n"
    "  local ok, message = pcall(fn, ...)\n"
    "  assert(not ok and message:find('NOMEM'), message)\n"
    "end\n";

static const char put_big[] =
    "is_told(KV.json.encode, big)\n"
    "is_told(kv.put, kv, 'big', big)\n"
    "for kind = 1, 4 do is_told(KV.json.encode, long[kind]) end\n"
    "kv:put('small', { 1, 2 })\n"
    "assert(kv:get('small') == '[1,2]')\n";

/* Here it is the process whose memory runs out. */
static bool starve_the_process(void)
{
    struct rlimit limit, none;
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    bool good = is_done(lua, luaL_dostring(lua, big), "before", 0) && luaL_loadstring(lua, put_big) == LUA_OK;
    good &= getrlimit(RLIMIT_AS, &limit) == 0;
    none = limit;
    none.rlim_cur = 0; /* no more than it has */
    good &= setrlimit(RLIMIT_AS, &none) == 0;
    int status = lua_pcall(lua, 0, 0, 0);
    good &= setrlimit(RLIMIT_AS, &limit) == 0;
    good &= is_done(lua, status, "without", 0);
    lua_close(lua);
    return good;
}

int main(void)
{
    puts("1..6");
    /* First, since the others leave memory that is free, such as that of a thread that has ended. */
    printf("%sok 1 - the process's memory runs out while JSON is written\n", starve_the_process() ? "" : "not ");
    starve_ever_later(2, "memory runs out while the module is loaded", "", load, "");
    starve_ever_later(3, "memory runs out while the module works, and the store works on", load, work, work_on);
    starve_ever_later(4, "memory runs out while an entry is taken, and the entry is not lost", load_to_take, take, take_again);
    starve_ever_later(5, "memory runs out while changes are returned, and none is lost", load_to_watch, watch_all, watch_again);
    starve_ever_later(6, "memory runs out in a loop over changes, and none is lost", load_to_watch, watch_each, watch_again);
    return 0;
}
