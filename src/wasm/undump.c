/* Replaces Lua's lundump.c: binary chunks are not loaded. Lua does not verify them, and a crafted one could reach any
   memory of this instance, including the store's. */

#define LUA_CORE
#include "lprefix.h"

#include "lua.h"

#include "ldo.h"
#include "lobject.h"
#include "lundump.h"

LClosure *luaU_undump(lua_State *L, ZIO *Z, const char *name) {
    (void)Z;
    if (*name == '@' || *name == '=') name++;
    else if (*name == LUA_SIGNATURE[0]) name = "binary string";
    luaO_pushfstring(L, "%s: binary chunks are not loaded here", name);
    luaD_throw(L, LUA_ERRSYNTAX);
}
