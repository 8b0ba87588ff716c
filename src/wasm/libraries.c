/* The libraries of a state: Lua's own, without the functions that could end or damage the instance, and the store's. */

#include <string.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#include "machine.h"

int luaopen_luat_kv(lua_State *L);

/* os.exit ends the script, not the instance. */
static int os_exit(lua_State *L) {
    int code = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, 0);
    machine *m = machine_of(L);
    if (m->stopping) stop(L, m->stopping, 1);
    m->exit_code = code;
    stop(L, EXIT, 1);
}

/* debug.getlocal and similar functions are limited to Lua functions, since the values in the frames of C functions are
   private. */
static void refuse_c(lua_State *L, int index) {
    if (lua_iscfunction(L, index)) luaL_argerror(L, index, "a function of Lua's expected");
}

static int debug_getlocal(lua_State *L) {
    lua_State *thread = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    int index = lua_isthread(L, 1) ? 2 : 1;
    if (lua_isfunction(L, index)) {
        refuse_c(L, index);
    } else {
        lua_Debug frame;
        lua_Integer level = luaL_checkinteger(L, index);
        if (level >= 0 && level < INT32_MAX && lua_getstack(thread, (int)level, &frame)) {
            lua_getinfo(thread, "S", &frame);
            if (*frame.what == 'C') return luaL_argerror(L, index, "that level is a function of C's");
            if (thread == L) { /* this function is a level as well */
                lua_pushinteger(L, level + 1);
                lua_replace(L, index);
            }
        }
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int debug_upvalue(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    refuse_c(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* The debug library is limited to functions that cannot reach into C, whose memory includes the store, and cannot
   remove the hook that stops scripts. */
static void trim_debug(lua_State *L) {
    static const char *const kept[] = {"getinfo", "traceback", "upvalueid", "upvaluejoin", NULL};
    static const luaL_Reg guarded[] = {
        {"getlocal", debug_getlocal}, {"getupvalue", debug_upvalue}, {"setupvalue", debug_upvalue}, {NULL, NULL},
    };
    lua_getglobal(L, "debug");
    lua_newtable(L);
    for (int i = 0; kept[i]; i++) {
        lua_getfield(L, -2, kept[i]);
        lua_setfield(L, -2, kept[i]);
    }
    for (int i = 0; guarded[i].name; i++) {
        lua_getfield(L, -2, guarded[i].name);
        lua_pushcclosure(L, guarded[i].func, 1);
        lua_setfield(L, -2, guarded[i].name);
    }
    lua_pushnil(L);
    while (lua_next(L, -3)) { /* the table keeps its identity, since it has other names */
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_settable(L, -5);
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_settable(L, -5);
    }
    lua_pop(L, 2);
}

/* Removes the searchers for C libraries, which cannot exist here. */
static void trim_searchers(lua_State *L) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    for (int searcher = 4; searcher >= 3; searcher--) {
        lua_pushnil(L);
        lua_rawseti(L, -2, searcher);
    }
    lua_pop(L, 2);
}

/* The loader in package.preload for the store: it returns the one module, whose store is the host's. */
static int preloaded(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

/* Leaves the store's module on the stack. */
int open_libraries(lua_State *L) {
    luaL_openlibs(L);
    trim_debug(L);
    trim_searchers(L);
    lua_getglobal(L, "os");
    lua_pushcfunction(L, os_exit);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);

    lua_pushcfunction(L, luaopen_luat_kv);
    lua_call(L, 0, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, preloaded, 1);
    lua_setfield(L, -2, "luat_kv");
    lua_pop(L, 1);
    /* The globals are the module itself, as `require` returns it, since the whole state belongs to one script. */
    lua_getfield(L, -1, "json");
    lua_setglobal(L, "json");
    lua_pushvalue(L, -1);
    lua_setglobal(L, "KV");
    return 1;
}
