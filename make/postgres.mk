# ---- PostgreSQL: the suites on real servers, which are started for them (tests/postgres)

# The contract of each language, with the tests of the other back ends.
postgres-contract := postgres-lua-5.4 postgres-lua-5.1 postgres-lua-jit postgres-c postgres-python postgres-node postgres-go
# The suites of tests/faults, which start and stop servers by themselves.
postgres-faults   := postgres-linear postgres-linear-cuts postgres-processes postgres-cuts postgres-outages postgres-refusals
postgres          := postgres-servers postgres-rust postgres-migrate postgres-fork $(postgres-contract) $(postgres-faults)
.PHONY: test-postgres $(postgres)
test-postgres: $(postgres) ## the store on PostgreSQL: the contract in each language, concurrency, faults, failover, pgbouncer
$(postgres): need-postgres

with-server := tests/postgres/with-server

postgres-servers: target/c/clock.so
	@tests/runner tap $@ tests/postgres/servers

postgres-rust:
	@tests/runner cargo $@ $(with-server) cargo test --no-fail-fast --test postgres

# The server's clock and the interpreter's are one.
preloaded := sh -c 'LD_PRELOAD="$$PWD/target/c/clock.so" exec "$$@"' sh
postgres-lua-5.4 postgres-lua-5.1 postgres-lua-jit: need-lua target/c/clock.so target/lua/fork.so
postgres-lua-5.4 postgres-lua-5.1 postgres-lua-jit: postgres-lua-%: target/lua/%/luat_kv.so
	@$(call lua_cpath,$*) tests/runner tap $@ $(with-server) --clock $(preloaded) lua$* tests/lua/run.lua -o tap

target/lua/fork.so: tests/lua/fork.c | need-lua
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L $(warnings) -O -shared -fPIC -I/usr/include/lua5.4 $< -o $@

# All that apply to every back end. (Without memory, test_starved is about this process alone.) Each begins with the
# system's time, which some of them move.
postgres-c-tests := $(filter-out starved,$(patsubst tests/c/test_%.c,%,$(shell grep -l check_both_backends tests/c/test_*.c)))
postgres-c: lib target/c/clock.so need-c
	@mkdir -p target/c; tests/runner tap $@ $(with-server) --clock sh -ec 'status=0; for test in $(postgres-c-tests); do \
	    $(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -g $(warnings) -Iinclude tests/c/test_$$test.c $(link-shared) -o target/c/$@-$$test; \
	    dd if=/dev/zero of="$$TEST_CLOCK" bs=8 count=1 conv=notrunc status=none; \
	    target/c/$@-$$test || status=1; done; exit $$status'

postgres-fork: lib
	@mkdir -p target/c; tests/runner tap $@ $(with-server) sh -ec '$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -g $(warnings) \
	    -Iinclude tests/c/postgres.c $(link-shared) -o target/c/$@; target/c/$@'

postgres-python: need-python $(library)
	@$(call in-turn,python) env $(host) tests/runner pytest $@ $(with-server) bindings/python/test
postgres-node: need-node $(library)
	@$(call in-turn,node) env $(host) tests/runner tap $@ $(with-server) bindings/node/test \
	    $(addprefix tests/,$(addsuffix .test.js,arguments namespace presence values))
postgres-go: need-go $(library)
	@$(host) tests/runner go $@ $(with-server) bindings/go/test

# The tool's tests of migrations, whose target is then a database on the server.
postgres-migrate: need-cli
postgres-migrate:
	@tests/runner cargo $@ $(with-server) cargo test --no-fail-fast --features cli --test cli -- migrate::

postgres-refusals: target/c/clock.so
$(postgres-faults):
	@SUITE_SECONDS=$$(($${FAULTS_MINUTES:-1} * 60 + 1200)) tests/runner tap $@ cargo test --quiet --features debug-hooks --test faults -- $@
