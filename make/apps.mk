# ---- Pages of docs/hosts: what they show, taken from them, in the programs and systems that they are for

apps := host-containers host-systemd host-prosody host-luat host-neovim host-prefork host-event-loops
.PHONY: test-apps $(apps)
test-apps: $(apps) ## the pages of docs/hosts about containers, services, applications and event loops, in these
$(apps): host-%: need-host-% target/lua/5.4/luat_kv.so
	@tests/runner tap $@ tests/hosts/$*
host-containers host-systemd host-prosody host-luat: tool-for-tests
host-systemd host-neovim: target/lua/jit/luat_kv.so
host-neovim: lib
host-prefork host-event-loops: $(library)
host-prefork host-event-loops: export LUAT_KV_LIBRARY = $(CURDIR)/$(library).$(abi)

# The tool, as its own tests have it: without optimization.
.PHONY: tool-for-tests
tool-for-tests: toolchain
	@cargo build --quiet --features cli --bin luat-kv

packages-host-containers := podman runc lua5.4 python3 util-linux
packages-host-systemd    := systemd systemd-container dbus lua5.4 luajit
packages-host-prosody    := prosody lua5.4 python3 util-linux
packages-host-luat       := lua5.4
packages-host-neovim     := neovim
packages-host-prefork     = $(packages-python) python3 ruby puma
packages-host-event-loops = $(packages-python) python3 lua5.4 lua-socket lua-luv lua-cqueues
