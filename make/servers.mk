# ---- Web servers: the pages of docs/hosts about HAProxy and Apache, in these servers as Debian has them

servers := host-haproxy host-apache
.PHONY: test-servers $(servers)
test-servers: $(servers) ## the pages of docs/hosts about web servers, in these: several workers, kill -9, reloads, sessions, a rate limiter
$(servers): host-%: need-host-% target/lua/5.3/luat_kv.so
	@tests/runner tap $@ tests/servers/$*.py

# Another program on the same file is Lua 5.3 in all of these.
packages-host-haproxy := python3 lua5.3 haproxy
packages-host-apache  := python3 lua5.3 apache2-bin

host-apache: target/servers/apache2

# Not installed, since it starts its server.
target/servers/apache2: packages := apache2
target/servers/apache2: make/unpack make/servers.mk
	@make/unpack $@ $(packages)
