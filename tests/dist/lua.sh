# The rocks: installed with LuaRocks for each Lua, without a compiler and without Lua's headers, used, and removed.
# needs: luarocks lua5.1 lua5.2 lua5.3 lua5.4 luajit
. ./tap.sh
. ./first-get
cat >use.lua <<'END'
local KV = require("luat_kv")
local kv = KV.open({ path = "lua.db" }):namespace("n")
kv:put("key", { 1, _VERSION })
assert(kv:get("key", "json")[2] == _VERSION)
END
files() { find /etc /opt /usr /root/.luarocks -xdev ! -path '*/rocks-*/manifest' 2>/dev/null | sort; }
files >before

echo "# $(cd /dist/rocks && find . -type f -printf '%P %s bytes\n' | sort | paste -sd ';' | sed 's/;/; /g')"
check 'there is no compiler' '! command -v cc && ! command -v gcc'
first_get 'Lua 5.1 to 5.5, with LuaRocks' 'lua5.4 use.lua'
check 'the rock for one Lua does not install for another' '
    status=0; luarocks --lua-version=5.2 install /dist/rocks/5.3/luat_kv-*.linux-*.rock >refused 2>&1 || status=$?
    cat refused; [ $status != 0 ]; grep "lua ~> 5.3" refused'
for version in 5.1 5.2 5.3; do
    check "luarocks installs the rock for Lua $version, which loads it" "
        luarocks --lua-version=$version install /dist/rocks/$version/luat_kv-*.linux-*.rock && lua$version use.lua"
done
check 'LuaJIT loads the one for 5.1' 'luajit use.lua'
check 'the storage for lua-resty-session is there' 'find / -xdev -path "*/5.1/resty/session/luat_kv.lua" | grep .'
check 'the types for editors are in its folder' '
    ls "$(luarocks --lua-version=5.4 show --rock-dir luat_kv)/types/luat_kv.lua"'
for version in 5.1 5.2 5.3 5.4; do
    check "luarocks removes it for Lua $version" "
        luarocks --lua-version=$version remove luat_kv && ! lua$version use.lua"
done
files | diff before - >left
check 'no file of it is left' 'cat left; ! grep luat_kv left'
finish
