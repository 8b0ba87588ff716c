/* A script is checked regularly, and the host then decides whether it continues. Lua's machine counts jumps and calls,
   without which no code runs for long (luat_kv_tick in config.h). When the count is over, a hook is set that makes the
   check before the next instruction, where a script can be paused. (A hook that counts instructions, as Lua provides
   it, would make each instruction three times as slow.)

   C code that runs for long without an instruction of Lua is checked too: a pattern can take years to find nothing, and
   table.move can have 2^62 values to move. Lua's libraries are compiled with a call to __sanitizer_cov_trace_pc in each
   basic block. Actions that take long without either count for as much as they may take (luat_kv_work): copying or
   comparing memory, calling a C function or the store, and collecting garbage. */

#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lua.h"

#include "lstate.h"
#include "machine.h"

/* In web/src/lua.js: what happens to the running script (enum reason). */
__attribute__((import_module("luat_kv"), import_name("proceed"))) int luat_kv_host_proceed(void);

/* About 100 microseconds of Lua. */
#define EVERY 10000

/* A few milliseconds of C. */
#define STRETCHES 1000000

static const char *const words[] = {
    [TIMEOUT] = "the script was stopped: its time is over",
    [SIGNAL] = "the script was stopped: its signal was aborted",
    [EXIT] = "the script ended by os.exit",
};

static void hook(lua_State *L, lua_Debug *at) {
    machine *m = machine_of(L);
    (void)at;
    if (m->stopping) stop(L, m->stopping, 0);
    lua_sethook(L, NULL, 0, 0);
    int answer = luat_kv_host_proceed();
    if (answer == TIMEOUT || answer == SIGNAL) stop(L, answer, 0);
    if (answer == PAUSE && m->started && lua_isyieldable(L)) {
        m->pausing = 1;
        lua_yield(L, 0);
    }
}

static void look(lua_State *L) {
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

int luat_kv_ticks = EVERY;
static size_t left = STRETCHES;

/* Counts an action that takes long in one step, for both counters, in units of about 10 nanoseconds. */
void luat_kv_work(size_t units) {
    luat_kv_ticks = units < (size_t)luat_kv_ticks ? luat_kv_ticks - (int)units : 0;
    left = units < left ? left - units : 1;
}

/* Counts a token of a script that is being compiled, since the compiler may take long for one. */
void luat_kv_token(void) {
    luat_kv_work(STRETCHES / 100);
    __sanitizer_cov_trace_pc();
}

void *luat_kv_allocate(void *unused, void *block, size_t old, size_t new) {
    (void)unused, (void)old;
    luat_kv_work(new / 128);
    if (new) return realloc(block, new);
    free(block);
    return NULL;
}

int luat_kv_compare(const void *a, const void *b, size_t len) {
    luat_kv_work(len / 128);
    return (memcmp)(a, b, len);
}

size_t luat_kv_spanned(size_t len) {
    luat_kv_work(len / 16);
    return len;
}

/* strcoll, which is the same as strcmp here. */
int luat_kv_collate(const char *a, const char *b) {
    size_t at = 0;
    while (a[at] && a[at] == b[at]) at++;
    luat_kv_work(at / 16);
    return (unsigned char)a[at] - (unsigned char)b[at];
}

int luat_kv_look(lua_State *L) {
    luat_kv_ticks = EVERY;
    look(L);
    return 1;
}

/* While a script is being stopped, each of its instructions raises the error again, so no `pcall` can ignore it. */
void keep_stopping(lua_State *L) {
    if (machine_of(L)->stopping) look(L);
}

_Noreturn void stop(lua_State *L, enum reason why, int level) {
    machine_of(L)->stopping = why;
    keep_stopping(L);
    L->allowhook = 1; /* otherwise a __close of a thread that this ends, or a finalizer in it, would not be checked */
    luaL_checkstack(L, 4, NULL);
    luaL_where(L, level);
    lua_pushstring(L, words[why]);
    lua_concat(L, 2);
    L->errfunc = 0; /* a handler of xpcall would run without hooks; pcall restores this when it ends */
    lua_error(L);
    __builtin_unreachable();
}

static machine *running;

machine *enter(machine *m) {
    machine *outer = running;
    running = m;
    return outer;
}

/* Raises an error in the midst of a library function. Each of these must allow for one whenever it allocates. */
void __sanitizer_cov_trace_pc(void) {
    if (--left) return;
    left = STRETCHES;
    machine *m = running;
    if (!m) return;
    int answer = m->stopping ? (int)m->stopping : luat_kv_host_proceed();
    if (answer != GO_ON && answer != PAUSE) stop(m->current, answer, 1);
}
