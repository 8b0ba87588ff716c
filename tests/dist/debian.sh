# The Debian packages: installed with apt, used from C, from each Lua of Debian and from a shell, upgraded, and purged.
# needs: gcc libc6-dev pkg-config man-db bash-completion zsh fish lua5.1 lua5.2 lua5.3 lua5.4 luajit
. ./tap.sh
. ./first-get
# Other suites may use the folder of fetched packages, which all of them share, and its lock.
echo 'Dir::Cache::Archives "/var/cache/apt/own"; APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/own
mkdir -p /var/cache/apt/own/partial
packages='libluat-kv0 libluat-kv-dev lua-luat-kv luat-kv'
files() { find /etc /opt /usr /var/lib -xdev | grep -vE "^/var/lib/(apt|dpkg|man-db)/|/ld.so.cache" | sort; }
installed() { dpkg-query -W -f '${binary:Package}\n' | sed 's/:.*//' | sort; }
debs() { for package; do echo /dist/${package}_*.deb; done; }
files >before
installed >installed
export packages

cat >use.lua <<'END'
local KV = require(arg[1])
local kv = KV.open({ path = "lua.db" }):namespace("n")
kv:put("key", { 1, arg[1] })
assert(kv:get("key", "json")[2] == arg[1])
END

echo "# $(cd /dist && du -b -- *.deb | awk '{ print $2 " " $1 " bytes" }' | paste -sd ';' | sed 's/;/; /g')"
first_get 'C, or C++17 and later' '
    gzip -cd /usr/share/doc/libluat-kv-dev/c.md.gz | sed -n "/^\`\`\`c\$/,/^\`\`\`\$/p" | sed "/^\`\`\`/d" >hello.c
    cc -std=c99 hello.c $(pkg-config --cflags --libs luat_kv) -o hello && [ "$(./hello)" = Alice ]'
check 'C: the same with the static library' '
    cc -std=c99 hello.c -Wl,-Bstatic $(pkg-config --cflags --libs luat_kv) -Wl,-Bdynamic -lm -o static
    [ "$(./static)" = Alice ] && ! ldd static | grep luat_kv'
check 'C: man luat_kv_put' 'man luat_kv_put | grep -w luat_kv_put_versioned'
first_get 'a shell' 'luat-kv -n n put key value && [ "$(luat-kv -n n get key)" = value ]'
check 'a shell: man luat-kv, and a page for each command' 'man luat-kv | grep namespaces && man luat-kv-bulk-get | grep luat-kv'
check 'a shell: bash completes' '
    cat >complete.bash <<"END"
. /usr/share/bash-completion/bash_completion
_completion_loader luat-kv
COMP_WORDS=(luat-kv na) COMP_CWORD=1
"$(complete -p luat-kv | sed "s/.*-F \(\S*\).*/\1/")" luat-kv na luat-kv
echo "$COMPREPLY"
END
    bash complete.bash | grep -x namespaces'
check 'a shell: zsh completes' 'zsh -fc "autoload -U compinit; compinit -D; echo \$_comps[luat-kv]" | grep -x _luat-kv'
check 'a shell: fish completes' 'fish -c "complete -C \"luat-kv na\"" | grep "^namespaces"'
first_get 'Lua or LuaJIT of Debian or Ubuntu' 'lua5.4 use.lua luat_kv'
for lua in lua5.1 lua5.2 lua5.3 luajit; do
    check "Lua: $lua loads it" "$lua use.lua luat_kv"
done
check 'Lua: luajit loads the module for its FFI' 'luajit use.lua luat_kv_ffi'
check 'Lua: the storage for lua-resty-session is there' 'test -f /usr/share/lua/5.1/resty/session/luat_kv.lua'

installed | comm -13 installed - >new
check 'nothing but these packages was installed' 'printf "%s\n" $packages | sort | diff - new'
check 'installing them once more is an upgrade' "
    apt-get install -y --reinstall $(debs $packages | paste -sd ' ')
    ./hello && luat-kv -n n get key && luajit use.lua luat_kv_ffi"
check 'a library in /usr/local takes its place' '
    cp -P /usr/lib/*/libluat_kv.so* /usr/local/lib && ldconfig && ldd hello | grep /usr/local/lib/libluat_kv.so.0
    rm /usr/local/lib/libluat_kv.so* && ldconfig && ./hello && ! ldd hello | grep /usr/local'
check 'purging them leaves nothing' 'apt-get purge -y $packages'
files | diff before - >left
check 'no file of theirs is left' 'cat left; [ ! -s left ]'
finish
