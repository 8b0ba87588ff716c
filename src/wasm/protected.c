/* Calls what luaD_rawrunprotected of ldo.c, where Lua catches errors, is given to call.

   WebKit's interpreter of WebAssembly does not catch what is thrown out of an indirect call that stands within the
   `try` itself (seen in WebKitGTK 2.50.6; its compilers do). The first error of a script's would end the instance. So
   the `try` calls this function directly, and no optimizer may put it there: clang cannot, since it compiles one file at
   a time, and wasm-opt is told by name not to (make/wasm-lua.mk). */

#include "lprefix.h"

#include "ldo.h"

void luat_kv_protected(lua_State *L, Pfunc f, void *ud) {
    f(L, ud);
}
