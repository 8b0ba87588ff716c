/* The exports for the host of the WebAssembly module with Lua: it creates states, and runs scripts on them
   (web/src/lua.js). No function lets an error of Lua escape: code that can raise one runs in lua_pcall, or in a thread
   that is resumed. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#include "machine.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

/* src/lua/host.rs: sets the store that KV.namespace of this state uses. The module is on top of the stack. */
int luat_kv_lua_give(lua_State *L, const void *store);

/* The results for the host (web/src/lua.js has the same). */
enum answer { DONE = 0, PAUSING = 1, RAISED = 2, STOPPED = 3, NO_MEMORY = 4 };

/* The parts of an outcome: a byte for the kind, the length in four bytes, and the contents. */
enum kind { NIL = 0, FALSE = 1, TRUE = 2, INTEGER = 3, FLOAT = 4, STRING = 5, JSON = 6 };

/* The positions of the script's thread and of the outcome on the main thread's stack. */
enum { RUN = 1, OUTCOME = 2 };

/* Its address is the key in the registry for the original json.encode. */
static const char encode_key;

static int setup(lua_State *L) {
    const void *store = lua_touserdata(L, 1);
    open_libraries(L);
    lua_getfield(L, -1, "json");
    lua_getfield(L, -1, "encode");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &encode_key);
    lua_pop(L, 1);
    if (!luat_kv_lua_give(L, store)) return luaL_error(L, "luat_kv.namespace has no place for a store");
    return 0;
}

/* Creates a state whose KV.namespace uses the given store. Returns NULL if there is no memory. */
lua_State *EXPORT(luat_kv_lua_new)(void *store) {
    machine *m = calloc(1, sizeof *m);
    lua_State *L = m ? luaL_newstate() : NULL;
    if (!L) {
        free(m);
        return NULL;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a line is written when it is complete */
    m->main = m->current = L;
    *(machine **)lua_getextraspace(L) = m;
    lua_setallocf(L, luat_kv_allocate, NULL);
    lua_pushcfunction(L, setup);
    lua_pushlightuserdata(L, store);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_close(L);
        free(m);
        return NULL;
    }
    lua_settop(L, OUTCOME);
    return L;
}

static void forget_run(machine *m) {
    lua_pushnil(m->main);
    lua_replace(m->main, RUN);
    m->run = NULL;
    m->started = m->pausing = 0;
    m->stopping = GO_ON;
    m->current = m->main;
}

/* Runs finalizers, which the host can stop like a script, and frees the state. */
void EXPORT(luat_kv_lua_free)(lua_State *L) {
    machine *m = machine_of(L), *outer = enter(m);
    forget_run(m);
    lua_close(L);
    free(m);
    enter(outer);
}

/* Allocates and frees memory for a script and its name; NULL if there is none. (luat_kv_wasm_alloc() leaves more memory
   free than a script needs.) */
void *EXPORT(luat_kv_lua_room)(size_t len) {
    return malloc(len ? len : 1);
}

void EXPORT(luat_kv_lua_leave)(void *room) {
    free(room);
}

/* Compiles the script and creates the thread that runs it. */
static int prepare(lua_State *L) {
    size_t len, name_len;
    const char *code = lua_touserdata(L, 1), *name = lua_touserdata(L, 3);
    len = (size_t)lua_tointeger(L, 2), name_len = (size_t)lua_tointeger(L, 4);
    lua_State *thread = lua_newthread(L);
    lua_createtable(L, 0, 1);
    lua_pushlstring(L, name, name_len);
    lua_rawseti(L, -2, 0);
    lua_pushglobaltable(L);
    lua_pushliteral(L, "arg");
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
    lua_pushliteral(L, "@");
    lua_pushlstring(L, name, name_len);
    lua_concat(L, 2);
    if (len && *code == '#') { /* skips the first line of a Unix script, but not its end, so that line numbers stay */
        const char *end = memchr(code, '\n', len);
        size_t skipped = end ? (size_t)(end - code) : len;
        code += skipped, len -= skipped;
    }
    if (luaL_loadbufferx(L, code, len, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
    lua_xmove(L, thread, 1);
    lua_pop(L, 1);
    return 1;
}

static void add(luaL_Buffer *to, enum kind kind, const void *data, size_t len) {
    uint32_t size = (uint32_t)len;
    luaL_addchar(to, (char)kind);
    luaL_addlstring(to, (const char *)&size, sizeof size);
    luaL_addlstring(to, data, len);
}

/* Pushes the value at an index as text or JSON, unless it is a number or a boolean. */
static enum kind convert(lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TNIL: return NIL;
    case LUA_TBOOLEAN: return lua_toboolean(L, index) ? TRUE : FALSE;
    case LUA_TNUMBER: return lua_isinteger(L, index) ? INTEGER : FLOAT;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index)) return NIL; /* KV.null */
        break;
    case LUA_TTABLE:
        lua_rawgetp(L, LUA_REGISTRYINDEX, &encode_key);
        lua_pushvalue(L, index);
        lua_call(L, 1, 1);
        return JSON;
    default: break;
    }
    luaL_tolstring(L, index, NULL);
    return STRING;
}

/* Converts the script's results, which are the arguments, to the outcome. */
static int collect(lua_State *L) {
    int count = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, "too many results");
    lua_createtable(L, count, 0); /* converts all values to text first, since a buffer needs the top of the stack */
    for (int i = 1; i <= count; i++) {
        enum kind kind = convert(L, i);
        if (kind < STRING) continue;
        lua_replace(L, i);
        lua_pushboolean(L, kind == JSON);
        lua_rawseti(L, count + 1, i);
    }
    luaL_Buffer all;
    luaL_buffinit(L, &all);
    for (int i = 1; i <= count; i++) {
        size_t len;
        int type = lua_type(L, i);
        if (type == LUA_TSTRING) {
            const char *text = lua_tolstring(L, i, &len);
            int is_json = lua_rawgeti(L, count + 1, i) == LUA_TBOOLEAN && lua_toboolean(L, -1);
            lua_pop(L, 1);
            add(&all, is_json ? JSON : STRING, text, len);
        } else if (type == LUA_TNUMBER && lua_isinteger(L, i)) {
            lua_Integer whole = lua_tointeger(L, i);
            add(&all, INTEGER, &whole, sizeof whole);
        } else if (type == LUA_TNUMBER) {
            lua_Number number = lua_tonumber(L, i);
            add(&all, FLOAT, &number, sizeof number);
        } else {
            add(&all, type != LUA_TBOOLEAN ? NIL : lua_toboolean(L, i) ? TRUE : FALSE, "", 0);
        }
    }
    luaL_pushresult(&all);
    return 1;
}

/* Converts an error value to text, as Lua's own interpreter does. */
static int describe(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) {
        lua_settop(L, 1);
    } else if (lua_type(L, 1) == LUA_TNUMBER || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        luaL_tolstring(L, 1, NULL);
    } else {
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    return 1;
}

/* Converts an error to the outcome: its text, and a traceback. */
static int report(lua_State *L) {
    lua_State *thread = lua_tothread(L, 2);
    lua_pushcfunction(L, describe);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_settop(L, 2);
        lua_pushliteral(L, "(an error while the error was made text)");
    }
    if (thread) {
        luaL_traceback(L, thread, NULL, 0);
    } else {
        lua_pushliteral(L, "");
    }
    luaL_Buffer all;
    luaL_buffinit(L, &all);
    for (int i = 3; i <= 4; i++) {
        size_t len;
        const char *text = lua_tolstring(L, i, &len);
        add(&all, STRING, text, len);
    }
    luaL_pushresult(&all);
    return 1;
}

/* Calls a C function with the values above the base of the main thread's stack, and keeps its result. */
static int protect(lua_State *L, lua_CFunction function) {
    lua_pushcfunction(L, function);
    lua_insert(L, OUTCOME + 1);
    int status = lua_pcall(L, lua_gettop(L) - OUTCOME - 1, 1, 0);
    lua_replace(L, OUTCOME);
    return status;
}

/* Converts the error on top of the main thread's stack to the outcome. */
static enum answer fail(lua_State *L, lua_State *thread, int status) {
    machine *m = machine_of(L);
    enum answer answer = m->stopping ? STOPPED : status == LUA_ERRMEM ? NO_MEMORY : RAISED;
    if (thread) {
        lua_pushthread(thread);
        lua_xmove(thread, L, 1);
    } else {
        lua_pushnil(L);
    }
    if (protect(L, report) == LUA_OK) return answer;
    lua_settop(L, RUN); /* there is no memory even for that */
    lua_settop(L, OUTCOME);
    return m->stopping ? STOPPED : NO_MEMORY;
}

/* Begins a script. DONE means that it is ready to run. The code and its name are bytes; the name contains no NUL. */
int EXPORT(luat_kv_lua_begin)(lua_State *L, const char *code, size_t len, const char *name, size_t name_len) {
    machine *m = machine_of(L);
    lua_settop(L, OUTCOME);
    lua_pushlightuserdata(L, (void *)code);
    lua_pushinteger(L, (lua_Integer)len);
    lua_pushlightuserdata(L, (void *)name);
    lua_pushinteger(L, (lua_Integer)name_len);
    machine *outer = enter(m);
    int status = protect(L, prepare);
    enter(outer);
    if (status != LUA_OK) {
        lua_pushvalue(L, OUTCOME);
        return fail(L, NULL, status);
    }
    lua_pushvalue(L, OUTCOME);
    lua_replace(L, RUN);
    m->run = lua_tothread(L, RUN);
    m->started = 1;
    return DONE;
}

/* Ends a script that returned this many results. */
static enum answer finish(machine *m, int results) {
    lua_State *L = m->main;
    if (m->stopping) { /* the script caught the stop in its last instruction */
        lua_pop(m->run, results);
        lua_pushliteral(L, "the script was stopped");
        return fail(L, NULL, LUA_OK);
    }
    if (!lua_checkstack(L, results + LUA_MINSTACK)) {
        lua_pushliteral(L, "too many results");
        return fail(L, NULL, LUA_OK);
    }
    lua_xmove(m->run, L, results);
    int status = protect(L, collect);
    if (status == LUA_OK) return DONE;
    lua_pushvalue(L, OUTCOME);
    return fail(L, NULL, status);
}

static enum answer go_on(machine *m) {
    lua_State *L = m->main;
    int results;
    m->pausing = 0;
    int status = resume(m, L, m->run, 0, &results);
    if (status == LUA_YIELD) return PAUSING;
    m->started = 0;
    if (status == LUA_OK) return finish(m, results);
    lua_settop(L, OUTCOME);
    lua_xmove(m->run, L, 1);
    enum answer answer = fail(L, m->run, status);
    close_thread(m, L, m->run);
    return answer;
}

/* Continues until the script ends, or the host makes it pause. Unless it pauses, there is an outcome afterwards. */
int EXPORT(luat_kv_lua_go_on)(lua_State *L) {
    machine *m = machine_of(L), *outer = enter(m);
    enum answer answer = go_on(m);
    fflush(stdout);
    enter(outer);
    return answer;
}

/* Returns the outcome, which stays until the script is ended: for DONE the results; for RAISED, and for STOPPED if
   there was memory for it, a message and a traceback. */
const char *EXPORT(luat_kv_lua_outcome)(lua_State *L, size_t *len) {
    *len = 0;
    return lua_type(L, OUTCOME) == LUA_TSTRING ? lua_tolstring(L, OUTCOME, len) : NULL;
}

int EXPORT(luat_kv_lua_exit_code)(lua_State *L) {
    return machine_of(L)->stopping == EXIT ? machine_of(L)->exit_code : -1;
}

/* Ends the script, however far it has come. */
void EXPORT(luat_kv_lua_end)(lua_State *L) {
    forget_run(machine_of(L));
    lua_settop(L, RUN);
    lua_settop(L, OUTCOME);
}

/* Collects garbage between scripts: Lua does this by itself when it has no memory, but the store cannot trigger it. */
void EXPORT(luat_kv_lua_collect)(lua_State *L) {
    machine *m = machine_of(L), *outer = enter(m);
    lua_gc(L, LUA_GCCOLLECT);
    m->stopping = GO_ON; /* a finalizer may have been stopped */
    enter(outer);
}

/* The loader in package.preload for a module from JavaScript: compiles it when it is required. */
static int load_module(lua_State *L) {
    size_t len;
    const char *code = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *name = lua_tostring(L, lua_upvalueindex(2));
    int arguments = lua_gettop(L);
    if (luaL_loadbufferx(L, code, len, name, "t") != LUA_OK) return lua_error(L);
    lua_insert(L, 1);
    lua_call(L, arguments, LUA_MULTRET);
    return lua_gettop(L);
}

static int keep_module(lua_State *L) {
    size_t len = (size_t)lua_tointeger(L, 2), name_len = (size_t)lua_tointeger(L, 4);
    const char *code = lua_touserdata(L, 1), *name = lua_touserdata(L, 3);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushlstring(L, name, name_len);
    lua_pushlstring(L, code, len);
    lua_pushliteral(L, "@");
    lua_pushvalue(L, -3);
    lua_concat(L, 2);
    lua_pushcclosure(L, load_module, 2);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4); /* preload[name] = the function */
    lua_pushnil(L);
    lua_rawset(L, -4); /* loaded[name] = nil: forgets an earlier module of that name */
    return 0;
}

/* Sets the source for `require(name)`. Returns NO_MEMORY or DONE. */
int EXPORT(luat_kv_lua_module)(lua_State *L, const char *code, size_t len, const char *name, size_t name_len) {
    /* A finalizer may be stopped here, but not the script that runs meanwhile. */
    machine *m = machine_of(L), *outer = enter(m), before = *m;
    m->current = L;
    m->stopping = GO_ON;
    lua_pushcfunction(L, keep_module);
    lua_pushlightuserdata(L, (void *)code);
    lua_pushinteger(L, (lua_Integer)len);
    lua_pushlightuserdata(L, (void *)name);
    lua_pushinteger(L, (lua_Integer)name_len);
    int status = lua_pcall(L, 4, 0, 0);
    if (status != LUA_OK) lua_pop(L, 1);
    m->current = before.current;
    m->stopping = before.stopping;
    enter(outer);
    return status == LUA_OK ? DONE : NO_MEMORY;
}
