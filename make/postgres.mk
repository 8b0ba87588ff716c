# ---- PostgreSQL: the suites on real servers, which are started for them (tests/postgres)

# The suites of tests/faults, which start and stop servers by themselves.
postgres-faults   := postgres-linear postgres-processes postgres-cuts postgres-outages postgres-refusals
postgres          := postgres-servers postgres-rust postgres-migrate $(postgres-faults)
.PHONY: test-postgres $(postgres)
test-postgres: $(postgres) ## the store on PostgreSQL: concurrency, faults, failover, pgbouncer
$(postgres): need-postgres

with-server := tests/postgres/with-server

postgres-servers: target/c/clock.so
	@tests/runner tap $@ tests/postgres/servers

postgres-rust:
	@tests/runner cargo $@ $(with-server) cargo test --no-fail-fast --test postgres

# The tool's tests of migrations, whose target is then a database on the server.
postgres-migrate: need-cli
postgres-migrate:
	@tests/runner cargo $@ $(with-server) cargo test --no-fail-fast --features cli --test cli -- migrate::

postgres-refusals: target/c/clock.so
$(postgres-faults):
	@SUITE_SECONDS=$$(($${FAULTS_MINUTES:-1} * 60 + 1200)) tests/runner tap $@ cargo test --quiet --features debug-hooks --test faults -- $@
