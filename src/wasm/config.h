/* Definitions that Lua's sources are compiled with. This file is included before everything else. */

#ifndef LUAT_KV_CONFIG_H
#define LUAT_KV_CONFIG_H

/* If this is defined, the crate that provides Lua's sources removes os.clock, os.tmpname and more. wasi-libc and libc.c
   provide what these need. (wasi-libc's own headers require it, so they are included first.) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef __wasi__

/* There are no signals. */
#define l_signalT int

/* There is no shell: `os.execute` reports that, and `io.popen` does so by itself. */
#define l_system(command) ((command) == NULL ? 0 : luat_kv_no_shell())

/* The names of temporary files, in /tmp. */
#define LUA_TMPNAMBUFSIZE 32
#define lua_tmpnam(buffer, failed) ((failed) = luat_kv_temporary_name(buffer))

/* Where `require` looks among the files that JavaScript has put into the file system. */
#define LUA_PATH_DEFAULT "./?.lua;./?/init.lua"
#define LUA_CPATH_DEFAULT ""

/* lvm.c calls this to count, by a change in make/wasm-lua.mk. True when the script must be checked (see hook.c). */
struct lua_State;
extern int luat_kv_ticks;
int luat_kv_look(struct lua_State *L);
#define luat_kv_tick(L) (--luat_kv_ticks < 0 && luat_kv_look(L))

/* ldo.c calls its protected functions through this, by another such change: see protected.c. */
void luat_kv_protected(struct lua_State *L, void (*f)(struct lua_State *, void *), void *ud);

/* An action that takes long in one step counts for more: what C does in one step, a file, a collection (which goes
   through all memory), and a call of a C function, above all of the store's functions (which, unlike most of Lua's,
   have upvalues). The last two are called by changes in make/wasm-lua.mk, and so is luat_kv_token. */
void luat_kv_work(size_t units);
void luat_kv_token(void);
int luat_kv_compare(const void *a, const void *b, size_t len);
int luat_kv_collate(const char *a, const char *b);
size_t luat_kv_spanned(size_t len);
#define memcmp(a, b, len) luat_kv_compare(a, b, len)
#define strcoll(a, b) luat_kv_collate(a, b)
#define strspn(text, set) luat_kv_spanned(strspn(text, set))
#define fopen(name, mode) (luat_kv_work(1000), fopen(name, mode))
#define luat_kv_collection(L) luat_kv_work(gettotalbytes(G(L)) / 64)
#define luat_kv_call_of_c(f) luat_kv_work(ttypetag(s2v(f)) == LUA_VCCL ? 1000 : 100)

#define tmpfile luat_kv_temporary_file

FILE *luat_kv_temporary_file(void);
int luat_kv_no_shell(void);
int luat_kv_temporary_name(char *buffer);

#endif
