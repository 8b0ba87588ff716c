# ---- Web servers: the pages of docs/hosts about nginx, HAProxy and Apache, in these servers as Debian has them

servers := host-nginx host-haproxy host-apache
.PHONY: test-servers $(servers)
test-servers: $(servers) ## the pages of docs/hosts about web servers, in these: several workers, kill -9, reloads, sessions, a rate limiter
$(servers): host-%: need-host-% target/lua/5.3/luat_kv.so
	@tests/runner tap $@ tests/servers/$*.py

# Another program on the same file is Lua 5.3 in all of these.
packages-host-nginx   := python3 lua5.3
packages-host-haproxy := python3 lua5.3 haproxy
packages-host-apache  := python3 lua5.3 apache2-bin

host-nginx: target/lua/jit/luat_kv.so $(library) target/servers/nginx
host-apache: target/servers/apache2

# Not installed: nginx's LuaJIT conflicts with the package luajit, which other suites need, and apache2 starts its server.
target/servers/nginx: packages := nginx nginx-common libnginx-mod-http-ndk libnginx-mod-http-lua lua-resty-core lua-resty-lrucache \
    libluajit2-5.1-2 libpcre3
target/servers/apache2: packages := apache2
target/servers/nginx target/servers/apache2: make/unpack make/servers.mk
	@make/unpack $@ $(packages)
