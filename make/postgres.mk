# ---- PostgreSQL: the suites on real servers, which are started for them (tests/postgres)

postgres := postgres-servers
.PHONY: test-postgres $(postgres)
test-postgres: $(postgres) ## the store on PostgreSQL: the contract from each language, concurrency, faults, pgbouncer, failover
$(postgres): need-postgres

with-server := tests/postgres/with-server

postgres-servers:
	@tests/runner tap $@ tests/postgres/servers
