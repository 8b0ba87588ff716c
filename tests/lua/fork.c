/*
 * The functions fork, wait and leave for tests, since Lua has none, and Debian has no module with them for each Lua:
 * package.loadlib(FILE, "do_fork") and so on. Built for one version, it fits the others: the functions of the API that it
 * uses are the same in all.
 */
#include <lauxlib.h>
#include <sys/wait.h>
#include <unistd.h>

int do_fork(lua_State *L);
int do_wait(lua_State *L);
int do_leave(lua_State *L);

/* fork(): as in C. */
int do_fork(lua_State *L)
{
    lua_pushinteger(L, fork());
    return 1;
}

/* wait(child): the exit status; 128 plus the signal's number if a signal ended it. */
int do_wait(lua_State *L)
{
    int status = -1;
    waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
    lua_pushinteger(L, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return 1;
}

/* leave(status): ends the process without the functions that run at its exit. */
int do_leave(lua_State *L)
{
    _exit((int)luaL_checkinteger(L, 1));
}
