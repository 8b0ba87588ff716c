// Package luatkv is a key-value store with the API of Cloudflare Workers KV, in one SQLite file, in memory or on a
// PostgreSQL server. It is the Go binding of the C library luat_kv.
//
// A Store contains namespaces, a Namespace contains keys. Keys and names are UTF-8 and not empty; values are any bytes.
// Inputs are only used during the call, and results belong to the caller: there is nothing to free. Any number of
// goroutines may use a store or a namespace at the same time. No call returns an entry after its expiration.
//
// Options structs may be nil, and their zero values are the defaults. Times are stored in seconds: an expiration or a
// TTL with a fraction is rounded up, so that an entry never expires early.
//
// A missing key is ErrNotFound, a condition that did not hold is ErrConflict, and all other errors are an *Error, which
// errors.Is compares with ErrInvalid, ErrBusy and so on. After an error the data is as before the call, and the store
// can still be used.
package luatkv
