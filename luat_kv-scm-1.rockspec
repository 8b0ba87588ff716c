-- `luarocks make`, in a clone, builds the module and installs it. It needs what `make lua` needs: Rust, a C compiler
-- and make. It lies at the top since that is where `luarocks make` looks.
rockspec_format = "3.0"
package = "luat_kv"
version = "scm-1"
source = {
  url = "git+file://.", -- LuaRocks asks for one; `make` builds what lies here
}
description = {
  summary = "A key-value store with the API of Cloudflare Workers KV, in one SQLite file or in memory",
  license = "MIT OR Apache-2.0",
  labels = { "database", "sqlite", "kv" },
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.1, < 5.6" }

-- The interpreter itself tells LuaJIT from Lua 5.1, as which LuaRocks has it.
local lua = [["$("$(LUA)" -e 'io.write(jit and "jit" or _VERSION:match("%d.%d"))')"]]

build = {
  type = "command",
  -- Without the CC that LuaRocks sets: with another one cargo would compile SQLite again, and again for `make lua`.
  build_command = "env -u CC make lua LUA=" .. lua,
  -- The types are for editors, not for require: `types` in the folder that `luarocks show --rock-dir luat_kv` tells.
  install_command = "install -D -m 755 target/lua/" .. lua .. [[/luat_kv.so "$(LIBDIR)/luat_kv.so"]]
    .. [[ && install -D -m 644 lua/types/luat_kv.lua "$(PREFIX)/types/luat_kv.lua"]]
    -- For LuaJIT, over the C library: another way to the same store (docs/luajit-ffi.md).
    .. [[ && install -D -m 644 -t "$(LUADIR)" lua/luat_kv_ffi.lua]]
    .. [[ && install -D -m 644 -t "$(LUADIR)/luat_kv_ffi" lua/luat_kv_ffi/*.lua]]
    -- A storage for lua-resty-session (docs/hosts/nginx.md).
    .. [[ && install -D -m 644 -t "$(LUADIR)/resty/session" lua/resty/session/luat_kv.lua]],
}
