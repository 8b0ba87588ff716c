// A module of its own, so that users of the package do not get what only the benchmark needs. Its dependencies are
// Debian's packages, which need no network: see run.
module github.com/maravilla-labs/luat_kv/bindings/go/bench

go 1.19

require (
	go.etcd.io/bbolt v1.3.6
	golang.org/x/sys v0.3.0
	github.com/maravilla-labs/luat_kv/bindings/go v0.0.0
)

replace (
	go.etcd.io/bbolt => /usr/share/gocode/src/go.etcd.io/bbolt
	golang.org/x/sys => /usr/share/gocode/src/golang.org/x/sys
	github.com/maravilla-labs/luat_kv/bindings/go => ../
)
