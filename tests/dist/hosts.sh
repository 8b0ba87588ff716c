# Pages of docs/hosts, pasted from their beginning, with the Debian package, and the programs as Debian has them. (The
# other tests of these pages, in tests/servers and tests/hosts, use what a clone has built.)
#
# needs: nginx libnginx-mod-http-lua haproxy apache2 neovim prosody
# brings: docs/hosts
. ./tap.sh
. ./first-get
cd ..
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
export port
exec 3>&1 # the TAP

# block PAGE NAME: a block of code, for a port that is free here.
block() {
    awk -v fence="\`\`\`$2" '$0 == "```" { on = 0 } on { print; found = 1 } $0 == fence { on = 1 } END { exit !found }' \
        "/opt/hosts/$1.md" >block || { echo "Bail out! $1.md has no block $2" >&3; exit 1; }
    sed "s/:8080/:$port/" block
}
# place FILE PAGE NAME: writes a block to a file.
place() {
    mkdir -p "$(dirname "$1")" && block "$2" "$3" >"$1"
}
# Counts a visit, in a server that may still be starting, and prints the counter.
cat >visit <<'END'
#!/bin/bash
for try in {1..600}; do
    if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
        printf 'GET /visits HTTP/1.0\r\n\r\n' >&3 && tail -n 1 <&3
        exit
    fi
    sleep 0.1
done
exit 1
END
chmod +x visit
# server PAGE START STOP: the page's commands, then START. The server counts, and counts on after its next start.
server() {
    check "$1: the page's commands, and a counter in the server" "
        $(block "$1" 'sh package')
        $(block "$1" 'sh setup')
        $2
        [ \"\$(./visit)\" = 1 ]
        $3
        $2
        [ \"\$(./visit)\" = 2 ]
        $3"
}

rm /etc/nginx/sites-enabled/default # which is for port 80
place /etc/nginx/conf.d/site.conf nginx 'nginx site.conf'
place /srv/site/site.lua nginx 'lua site.lua'
stop_nginx='nginx -s quit; while [ -s /run/nginx.pid ]; do sleep 0.1; done'
server nginx nginx "$stop_nginx"
check 'nginx: the storage for lua-resty-session is found' "
    echo 'init_by_lua_block { require(\"resty.session.luat_kv\") }' >/etc/nginx/conf.d/storage.conf
    nginx
    [ \"\$(./visit)\" = 3 ]
    $stop_nginx"
rm -r /var/lib/site

echo >/etc/apache2/ports.conf # which is for port 80
place /etc/apache2/sites-available/site.conf apache 'apache site.conf'
place /srv/site/site.lua apache 'lua site.lua'
server apache 'a2dissite -q 000-default; a2enmod lua && a2ensite site && apache2ctl start' \
    'apache2ctl stop; while [ -f /run/apache2/apache2.pid ]; do sleep 0.1; done'

block haproxy 'haproxy haproxy.cfg' >>/etc/haproxy/haproxy.cfg
mkdir /run/haproxy # as systemd does
place /etc/haproxy/site.lua haproxy 'lua site.lua'
server haproxy 'haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid' \
    'kill $(cat /run/haproxy.pid); while kill -0 $(cat /run/haproxy.pid) 2>/dev/null; do sleep 0.1; done'

place ~/.config/nvim/lua/places.lua neovim lua
place ~/.config/nvim/init.lua neovim 'lua init'
check "neovim: the page's commands, and a place that is remembered" "
    $(block neovim 'sh package')
    seq 20 >text
    nvim --headless text +7 +Remember +q
    nvim --headless text '+lua io.stdout:write(vim.fn.line(\".\"))' +q | grep -x 7"

block prosody 'lua config' >config
sed -i -e '/^VirtualHost "localhost"/{e cat config' -e '}' /etc/prosody/prosody.cfg.lua
check "prosody: the page's commands, and an account in the store" "
    $(block prosody 'sh package')
    printf 'secret\nsecret\n' | prosodyctl adduser juliet@localhost
    [ \$(stat -c %U /var/lib/prosody/kv.db) = prosody ]"
place /etc/prosody/to_luat_kv.cfg.lua prosody 'lua migrator'
mkdir -p '/var/lib/prosody/example%2ecom/accounts'
echo 'return { ["password"] = "secret" };' >'/var/lib/prosody/example%2ecom/accounts/nurse.dat'
chown -R prosody /var/lib/prosody
check "prosody: the page's migrator" "
    $(block prosody 'sh migrate') | tee said
    grep -a nurse /var/lib/prosody/kv.db*"
finish
