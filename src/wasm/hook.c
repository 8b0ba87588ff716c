/* A script is looked at every so often, and the host then says whether it goes on. Lua's machine counts where it jumps or
   calls, without which nothing lasts (luat_kv_tick in config.h), and when it has counted down, a hook is set that looks
   before the next instruction: there a script can be paused. (A hook that counts instructions, as Lua has it, would make
   each of them cost three times as much.)

   And so is what runs in C for long without an instruction of Lua's: a pattern can take years to find nothing, and
   table.move can have 2^62 things to move. Lua's libraries are compiled with a call to __sanitizer_cov_trace_pc in each
   stretch of code. What takes long without either counts for as much as it may take (luat_kv_work): memory is copied,
   or compared; a C function is called; the store is; or garbage is collected. */

#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lua.h"

#include "lstate.h"
#include "machine.h"

/* In web/src/lua.js: what is to become of the script that runs (enum reason). */
__attribute__((import_module("luat_kv"), import_name("proceed"))) int luat_kv_host_proceed(void);

/* Some 100 microseconds of Lua. */
#define EVERY 10000

/* Some milliseconds of C. */
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

/* Counts what takes long in one step, for both: in units of some 10 nanoseconds. */
void luat_kv_work(size_t units) {
    luat_kv_ticks = units < (size_t)luat_kv_ticks ? luat_kv_ticks - (int)units : 0;
    left = units < left ? left - units : 1;
}

/* A token of a script that is being compiled: what the compiler does for one can take it a while. */
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

/* strcoll, which is strcmp here. */
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

/* Once a script is being stopped, each instruction of its raises the error anew: no `pcall` gets away with it. */
void keep_stopping(lua_State *L) {
    if (machine_of(L)->stopping) look(L);
}

_Noreturn void stop(lua_State *L, enum reason why, int level) {
    machine_of(L)->stopping = why;
    keep_stopping(L);
    L->allowhook = 1; /* or a __close of a thread that ends by this, or a finalizer within it, would not be looked at */
    luaL_checkstack(L, 4, NULL);
    luaL_where(L, level);
    lua_pushstring(L, words[why]);
    lua_concat(L, 2);
    L->errfunc = 0; /* a handler of xpcall's would run without hooks now; pcall puts this right when it ends */
    lua_error(L);
    __builtin_unreachable();
}

static machine *running;

machine *enter(machine *m) {
    machine *outer = running;
    running = m;
    return outer;
}

/* Raises an error in the midst of a library's function, each of which must bear one whenever it allocates. */
void __sanitizer_cov_trace_pc(void) {
    if (--left) return;
    left = STRETCHES;
    machine *m = running;
    if (!m) return;
    int answer = m->stopping ? (int)m->stopping : luat_kv_host_proceed();
    if (answer != GO_ON && answer != PAUSE) stop(m->current, answer, 1);
}
