// Package luatkv is a key-value store with the API of Cloudflare Workers KV, kept in one SQLite file or in memory: the Go
// side of the C library luat_kv.
//
// A Store holds namespaces, a Namespace holds keys. Keys and names are UTF-8 and not empty; values are any bytes. Inputs
// are borrowed for the call, and what comes back is yours: there is nothing to free. Stores and namespaces may be used by
// any number of goroutines at once. An entry is gone, everywhere at once, when its expiration has come.
//
// Options structs may be nil, and their zero values are the defaults. Times have whole seconds: an expiration or a TTL
// with a fraction is rounded up, so that an entry never goes early.
//
// A missing key is ErrNotFound, a condition that did not hold ErrConflict, and all other errors are an *Error, which
// errors.Is compares with ErrInvalid, ErrBusy and so on. After an error everything is as it was, and the store works on.
package luatkv
