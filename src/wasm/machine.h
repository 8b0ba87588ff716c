/* A Lua state, and the script that runs on it. */

#ifndef LUAT_KV_MACHINE_H
#define LUAT_KV_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "lua.h"

/* Why a script is being stopped: the host's reasons, and one from this module. */
enum reason { GO_ON = 0, PAUSE = 1, TIMEOUT = 2, SIGNAL = 3, EXIT = 4 };

typedef struct machine {
    lua_State *main;
    lua_State *run;      /* the script's own thread, NULL between scripts */
    lua_State *current;  /* the thread whose Lua code runs */
    enum reason stopping;
    int exit_code;
    int pausing;         /* threads yield one after another, outwards to the host */
    int started;         /* the script has begun, and has not finished */
} machine;

/* Every thread of a state has this pointer in front of it. */
static inline machine *machine_of(lua_State *L) {
    return *(machine **)lua_getextraspace(L);
}

/* hook.c: scripts are checked regularly, and can be stopped. `enter` sets whose code runs from now on, and returns
   whose code did before. */
machine *enter(machine *m);
_Noreturn void stop(lua_State *L, enum reason why, int level);
void keep_stopping(lua_State *L);
void *luat_kv_allocate(void *unused, void *block, size_t old, size_t new);
void __sanitizer_cov_trace_pc(void);

/* coroutine.c: lua_resume, which keeps track of the running thread. */
int resume(machine *m, lua_State *from, lua_State *thread, int arguments, int *results);
int close_thread(machine *m, lua_State *from, lua_State *thread);

/* libraries.c */
int open_libraries(lua_State *L);

#endif
