# ---- Pages of docs/hosts: what they show, taken from them, in the programs and systems that they are for

apps := host-containers host-systemd host-prosody
.PHONY: test-apps $(apps)
test-apps: $(apps) ## the pages of docs/hosts about containers, services, applications and event loops, in these
$(apps): host-%: need-host-% target/lua/5.4/luat_kv.so
	@tests/runner tap $@ tests/hosts/$*
host-containers host-systemd host-prosody: tool-for-tests
host-systemd: target/lua/jit/luat_kv.so

# The tool, as its own tests have it: without optimization.
.PHONY: tool-for-tests
tool-for-tests: toolchain
	@cargo build --quiet --features cli --bin luat-kv

packages-host-containers := podman runc lua5.4 python3 util-linux
packages-host-systemd    := systemd systemd-container dbus lua5.4 luajit
packages-host-prosody    := prosody lua5.4 python3 util-linux
