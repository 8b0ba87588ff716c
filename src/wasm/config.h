/* What Lua's sources are compiled with, before anything else in them. */

#ifndef LUAT_KV_CONFIG_H
#define LUAT_KV_CONFIG_H

/* The crate that Lua's sources come from takes os.clock, os.tmpname and more away where this is defined. What they need
   is here, in wasi-libc and libc.c. (wasi-libc's own headers want it, so these come first.) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#undef __wasi__

/* Nothing comes by signal here. */
#define l_signalT int

/* There is no shell, and `os.execute` says so; `io.popen` does by itself. */
#define l_system(command) ((command) == NULL ? 0 : luat_kv_no_shell())

/* Names of temporary files, in /tmp. */
#define LUA_TMPNAMBUFSIZE 32
#define lua_tmpnam(buffer, failed) ((failed) = luat_kv_temporary_name(buffer))

/* Where `require` looks, of what JavaScript has put into the file system. */
#define LUA_PATH_DEFAULT "./?.lua;./?/init.lua"
#define LUA_CPATH_DEFAULT ""

/* How lvm.c counts, by a change of make/wasm-lua.mk: true when it is time to look at the script (see hook.c). */
struct lua_State;
extern int luat_kv_ticks;
int luat_kv_look(struct lua_State *L);
#define luat_kv_tick(L) (--luat_kv_ticks < 0 && luat_kv_look(L))

#define tmpfile luat_kv_temporary_file

FILE *luat_kv_temporary_file(void);
int luat_kv_no_shell(void);
int luat_kv_temporary_name(char *buffer);

#endif
