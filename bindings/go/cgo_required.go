//go:build !cgo

package luatkv

// The go command leaves out all files that need cgo, silently. The compiler prints this line instead.
const _ int = "luatkv calls a C library through cgo: install a C compiler (gcc), and set CGO_ENABLED=1"
