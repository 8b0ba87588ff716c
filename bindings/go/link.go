package luatkv

// The library of the system. The module that `make dist` writes links the static library in it instead: see
// make/go-proxy.go.

// #cgo pkg-config: luat_kv
import "C"
