/* Calls the function that luaD_rawrunprotected of ldo.c, where Lua catches errors, is told to call.

   WebKit's interpreter of WebAssembly does not catch an exception from an indirect call that is inside of the `try`
   itself (seen in WebKitGTK 2.50.6; its compilers do). The first error of a script would end the instance. So the `try`
   calls this function directly, and it must not be inlined there. clang cannot inline it, since it compiles one file at
   a time, and wasm-opt is told by name not to (make/wasm-lua.mk). */

#include "lprefix.h"

#include "ldo.h"

void luat_kv_protected(lua_State *L, Pfunc f, void *ud) {
    f(L, ud);
}
