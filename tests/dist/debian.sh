# The Debian packages: installed with apt, used from C, from each Lua of Debian and from a shell, upgraded, and purged.
# needs: gcc libc6-dev pkg-config man-db bash-completion zsh fish lua5.1 lua5.2 lua5.3 lua5.4 luajit
. ./tap.sh
. ./first-get
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

# What is typed before the tab, and what the shell adds. A namespace and a key are no files.
mkdir completing
touch completing/script
cat >lines <<'END'
luat-kv na|mespaces
luat-kv put --m|etadata
luat-kv --json put --m|etadata
luat-kv -n blog pu|t
luat-kv delete a --pre|fix
luat-kv bulk d|elete
luat-kv bulk put --b|usy-timeout
luat-kv export --format jsonl --lim|its
luat-kv --limits c|loudflare
luat-kv put --file s|cript
luat-kv --db s|cript
luat-kv -n s|
luat-kv watch -n s|
luat-kv list --prefix s|
END
sed 's/|.*//' lines >typed
sed 's/|//' lines >completed
# Types into a shell on a terminal, in which `luat-kv` shows its arguments.
cat >type.zsh <<'END'
zmodload zsh/zpty
zpty shell "$1"
zpty -w shell "PS1=; cd completing; $2; luat-kv() { echo \"<luat-kv \$*>\"; }; echo '<'ready'>'"
zpty -r shell out '*<ready>*'
while read -r line; do
    zpty -w shell "$line"$'\t'
    zpty -r shell out '*<*>*'
    out=${out##*<}
    print -r -- "${out%%>*}"
done
END
check 'a shell: bash completes' '
    timeout 300 zsh -f type.zsh "bash --norc -i" ". /usr/share/bash-completion/bash_completion" <typed | diff completed -'
check 'a shell: zsh completes' '
    timeout 300 zsh -f type.zsh "zsh -fi" "autoload -U compinit; compinit -D" <typed | diff completed -
    echo "luat-kv get s" | timeout 300 zsh -f type.zsh "zsh -fi" "autoload -U compinit; compinit -D" | grep -x "luat-kv get s"'
# It prints each last word that there can be. For `-n s` there is none.
check 'a shell: fish completes' '
    cd completing
    while read -r line; do fish -c "complete -C \"$line\"" | cut -f 1; done <../typed >../words
    sed "/ s$/d; s/.* //" ../completed | diff - ../words
    fish -c "complete -C \"luat-kv bulk \"" | cut -f 1 | grep -x put'
first_get 'Lua or LuaJIT of Debian or Ubuntu' 'lua5.4 use.lua luat_kv'
for lua in lua5.1 lua5.2 lua5.3 luajit; do
    check "Lua: $lua loads it" "$lua use.lua luat_kv"
done
check 'Lua: luajit loads the module for its FFI' 'luajit use.lua luat_kv_ffi'
check 'Lua: the storage for lua-resty-session is there' 'test -f /usr/share/lua/5.1/resty/session/luat_kv.lua'
check 'each package has the pages that concern it, and those that these refer to most' '
    cd /usr/share/doc
    for page in libluat-kv-dev/c lua-luat-kv/lua lua-luat-kv/luajit-ffi luat-kv/cli; do
        ls $page.md* ${page%/*}/embedding.md* ${page%/*}/storage.md* ${page%/*}/watch.md*
    done
    ls libluat-kv-dev/hosts/systemd.md* lua-luat-kv/hosts/nginx.md*
    ! ls libluat-kv-dev | grep -E "^(cli|lua)"'

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
