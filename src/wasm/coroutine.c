/* Lua's coroutine library, replacing lcorolib.c. Scripts see no difference, but it works differently in three ways:

   - A script runs in a coroutine, and must not notice: to the script, that one is the main thread.
   - To pause a script, so that the page stays responsive, the hook yields from the innermost thread. This is not a
     yield of the script: `resume` passes it outwards, thread by thread, and returns inwards when the script continues.
     If a thread cannot yield (for example because a comparator of table.sort runs in it), it resumes the inner thread
     at once.
   - When a script is being stopped, each thread takes over the stop from the thread within it. */

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#include "machine.h"

/* Results of `advance` other than a number of Lua values. */
enum { FAILED = -1, PAUSED = -2 };

int resume(machine *m, lua_State *from, lua_State *thread, int arguments, int *results) {
    lua_State *outer = m->current;
    m->current = thread;
    int status = lua_resume(thread, from, arguments, results);
    m->current = outer;
    return status;
}

int close_thread(machine *m, lua_State *from, lua_State *thread) {
    lua_State *outer = m->current;
    m->current = thread;
    int status = lua_closethread(thread, from);
    m->current = outer;
    return status;
}

static lua_State *thread_at(lua_State *L, int index) {
    lua_State *thread = lua_tothread(L, index);
    luaL_argexpected(L, thread, index, "thread");
    return thread;
}

/* Resumes a thread whose arguments it already holds, and moves its results here. Returns their number, which is one for
   an error. */
static int advance(lua_State *L, lua_State *thread, int arguments) {
    machine *m = machine_of(L);
    int results;
    int status = resume(m, L, thread, arguments, &results);
    while (status == LUA_YIELD && m->pausing) {
        if (lua_isyieldable(L)) return PAUSED;
        m->pausing = 0;
        status = resume(m, L, thread, 0, &results);
    }
    keep_stopping(L);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(thread, L, 1);
        return FAILED;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(thread, results);
        lua_pushliteral(L, "too many results to resume");
        return FAILED;
    }
    lua_xmove(thread, L, results);
    return results;
}

/* Like `advance`, with the topmost values of this stack as arguments. */
static int begin(lua_State *L, lua_State *thread, int arguments) {
    if (!lua_checkstack(thread, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return FAILED;
    }
    if (thread == machine_of(L)->run) { /* which may be between two slices, but never is to the script */
        lua_pushliteral(L, "cannot resume non-suspended coroutine");
        return FAILED;
    }
    lua_xmove(L, thread, arguments);
    return advance(L, thread, arguments);
}

static int resumed(lua_State *L, int results, lua_KFunction again) {
    if (results == PAUSED) return lua_yieldk(L, 0, 0, again);
    lua_pushboolean(L, results != FAILED);
    if (results == FAILED) results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int resume_again(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    return resumed(L, advance(L, lua_tothread(L, 1), 0), resume_again);
}

static int co_resume(lua_State *L) {
    lua_State *thread = thread_at(L, 1);
    return resumed(L, begin(L, thread, lua_gettop(L) - 1), resume_again);
}

static int called(lua_State *L, lua_State *thread, int results, lua_KFunction again) {
    if (results == PAUSED) return lua_yieldk(L, 0, 0, again);
    if (results != FAILED) return results;
    int status = lua_status(thread);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = close_thread(machine_of(L), L, thread);
        lua_xmove(thread, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int call_again(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    lua_State *thread = lua_tothread(L, lua_upvalueindex(1));
    return called(L, thread, advance(L, thread, 0), call_again);
}

static int call_wrapped(lua_State *L) {
    lua_State *thread = lua_tothread(L, lua_upvalueindex(1));
    return called(L, thread, begin(L, thread, lua_gettop(L)), call_again);
}

static int co_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *thread = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, thread, 1);
    return 1;
}

static int co_wrap(lua_State *L) {
    co_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static int co_yield(lua_State *L) {
    if (L == machine_of(L)->run) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static const char *state_of(lua_State *L, lua_State *thread) {
    lua_Debug frame;
    if (L == thread) return "running";
    if (thread == machine_of(L)->run || thread == machine_of(L)->main) return "normal";
    if (lua_status(thread) == LUA_YIELD) return "suspended";
    if (lua_status(thread) != LUA_OK) return "dead";
    if (lua_getstack(thread, 0, &frame)) return "normal";
    return lua_gettop(thread) == 0 ? "dead" : "suspended";
}

static int co_status(lua_State *L) {
    lua_pushstring(L, state_of(L, thread_at(L, 1)));
    return 1;
}

static int co_isyieldable(lua_State *L) {
    lua_State *thread = lua_isnone(L, 1) ? L : thread_at(L, 1);
    lua_pushboolean(L, thread != machine_of(L)->run && lua_isyieldable(thread));
    return 1;
}

static int co_running(lua_State *L) {
    int is_main = lua_pushthread(L) || L == machine_of(L)->run;
    lua_pushboolean(L, is_main);
    return 2;
}

static int co_close(lua_State *L) {
    lua_State *thread = thread_at(L, 1);
    const char *state = state_of(L, thread);
    if (*state != 'd' && *state != 's') return luaL_error(L, "cannot close a %s coroutine", state);
    int status = close_thread(machine_of(L), L, thread);
    keep_stopping(L);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK) return 1;
    lua_xmove(thread, L, 1);
    return 2;
}

static const luaL_Reg functions[] = {
    {"close", co_close},           {"create", co_create}, {"isyieldable", co_isyieldable},
    {"resume", co_resume},         {"running", co_running}, {"status", co_status},
    {"wrap", co_wrap},             {"yield", co_yield},   {NULL, NULL},
};

LUAMOD_API int luaopen_coroutine(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
