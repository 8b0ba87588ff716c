package luatkv

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"sync"
	"time"
	"unsafe"
)

// Namespace is a set of keys within a store. Any goroutine may use it at any time.
type Namespace struct {
	store *Store
	name  string
	ptr   *C.luat_kv_namespace // freed when the store closes
}

// PutOptions are the options for storing a value. Zero values, and nil for the struct, are the defaults.
type PutOptions struct {
	// Expiration is the time when the entry expires, in the future; the zero Time means never.
	Expiration time.Time
	// TTL is the same from now, at least a second. If both are set, TTL takes precedence.
	TTL time.Duration
	// Metadata is the JSON text of any value but null, and is stored unchanged. Empty means no metadata.
	Metadata json.RawMessage
}

// TouchOptions set the expiration of a key. Zero values, and nil for the struct, mean never.
type TouchOptions struct {
	// Expiration is the time when the entry expires, in the future.
	Expiration time.Time
	// TTL is the same from now, at least a second. If both are set, TTL takes precedence.
	TTL time.Duration
}

// IncrOptions apply to a missing key, which is created; an existing key keeps its expiration. Zero values, and nil for
// the struct, are the defaults.
type IncrOptions struct {
	// Initial is the number to which by is added if the key is missing.
	Initial int64
	// Expiration is the time when the new key expires, in the future; the zero Time means never.
	Expiration time.Time
	// TTL is the same from now, at least a second. If both are set, TTL takes precedence.
	TTL time.Duration
}

// seconds converts an expiration and a lifetime for C: to seconds, rounded up, and 0 for none.
func seconds(expiration time.Time, ttl time.Duration) (at, in C.int64_t, err error) {
	if ttl != 0 {
		if ttl < time.Second {
			return 0, 0, invalid("TTL is %v; it is at least 1s (a plain number counts nanoseconds)", ttl)
		}
		in = C.int64_t(ttl / time.Second)
		if ttl%time.Second != 0 {
			in++
		}
	}
	if !expiration.IsZero() {
		at = C.int64_t(expiration.Unix())
		if expiration.Nanosecond() != 0 {
			at++
		}
		if at <= 0 && in == 0 { // in C, 0 means never
			return 0, 0, invalid("Expiration %v is not in the future", expiration)
		}
	}
	return at, in, nil
}

// data returns the address and the length of bytes, for one call.
func data(bytes []byte) (*C.uint8_t, C.size_t) {
	if len(bytes) == 0 {
		return nil, 0
	}
	return (*C.uint8_t)(unsafe.Pointer(&bytes[0])), C.size_t(len(bytes))
}

func (n *Namespace) enter() error {
	if n == nil {
		return ErrClosed
	}
	return n.store.enter()
}

func (n *Namespace) leave() { n.store.leave() }

// Name returns the namespace's name.
func (n *Namespace) Name() string { return n.name }

// scratch is a buffer that most values fit into. They are then copied to a slice of their length.
type scratch [4096]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Get returns the value of a key, or ErrNotFound. An empty value is not nil.
func (n *Namespace) Get(key string) ([]byte, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	room := scratches.Get().(*scratch)
	defer scratches.Put(room)
	r := C.kv_get(n.ptr, key, (*C.uint8_t)(unsafe.Pointer(&room[0])), C.size_t(len(room)))
	if r.status == C.LUAT_KV_OK {
		value := make([]byte, int(r.number))
		copy(value, room[:])
		return value, nil
	}
	var value []byte
	for r.status == C.LUAT_KV_TOO_SMALL { // again if a longer value was put meanwhile
		value = make([]byte, int(r.number))
		r = C.kv_get(n.ptr, key, (*C.uint8_t)(unsafe.Pointer(&value[0])), C.size_t(len(value)))
	}
	if err := check(r); err != nil {
		return nil, err
	}
	return value[:r.number:r.number], nil
}

// GetJSON parses a key's value as JSON into the variable that v points to. It does not change that after ErrNotFound. A
// value that does not fit is an error of encoding/json.
func (n *Namespace) GetJSON(key string, v any) error {
	value, err := n.Get(key)
	if err != nil {
		return err
	}
	return json.Unmarshal(value, v)
}

// GetEntry returns a key's value with its metadata, expiration and version, or ErrNotFound.
func (n *Namespace) GetEntry(key string) (Entry, error) {
	if err := n.enter(); err != nil {
		return Entry{}, err
	}
	defer n.leave()
	return entryFrom(C.kv_get_entry(n.ptr, key))
}

// entryFrom copies the entry that a call returned, and frees the C entry.
func entryFrom(r C.kv_result) (Entry, error) {
	if err := check(r); err != nil {
		return Entry{}, err
	}
	entry := (*C.luat_kv_entry)(r.handle)
	defer C.luat_kv_entry_free(entry)
	return entryOf(C.kv_entry_view(entry)), nil
}

// Has reports whether a key exists. It does not read the value.
func (n *Namespace) Has(key string) (bool, error) {
	if err := n.enter(); err != nil {
		return false, err
	}
	defer n.leave()
	return found(C.kv_has(n.ptr, key))
}

// found returns whether a call found its key: false for ErrNotFound.
func found(r C.kv_result) (bool, error) {
	err := check(r)
	if err == ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// Put stores a value, and replaces everything that the key held: value, metadata and expiration. A nil value is stored
// as an empty one.
func (n *Namespace) Put(key string, value []byte, options *PutOptions) error {
	return n.put(0, key, value, options, nil)
}

// PutVersioned is like Put, and returns the version of the new entry, for Batch.Check.
func (n *Namespace) PutVersioned(key string, value []byte, options *PutOptions) (version string, err error) {
	return n.putVersioned(0, key, value, options)
}

// PutJSON stores v as JSON, by json.Marshal.
func (n *Namespace) PutJSON(key string, v any, options *PutOptions) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return n.Put(key, value, options)
}

// Add stores a value if the key is missing. Otherwise it returns ErrConflict.
func (n *Namespace) Add(key string, value []byte, options *PutOptions) error {
	return n.put(1, key, value, options, nil)
}

// AddVersioned is like Add, and returns the version of the new entry, for Batch.Check. It is "" with ErrConflict.
func (n *Namespace) AddVersioned(key string, value []byte, options *PutOptions) (version string, err error) {
	return n.putVersioned(1, key, value, options)
}

func (n *Namespace) putVersioned(add C.int, key string, value []byte, options *PutOptions) (string, error) {
	var version C.kv_version
	err := n.put(add, key, value, options, &version)
	return C.GoString(&version.text[0]), err
}

func (n *Namespace) put(add C.int, key string, value []byte, options *PutOptions, version *C.kv_version) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	if options == nil {
		options = &PutOptions{}
	}
	at, in, err := seconds(options.Expiration, options.TTL)
	if err != nil {
		return err
	}
	bytes, length := data(value)
	metadata, metadataLen := data(options.Metadata)
	return check(C.kv_put(n.ptr, add, key, bytes, length, at, in, metadata, metadataLen, version))
}

// Touch sets or removes the expiration of a key. The value and the metadata are kept. A missing key is ErrNotFound.
func (n *Namespace) Touch(key string, options *TouchOptions) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	if options == nil {
		options = &TouchOptions{}
	}
	at, in, err := seconds(options.Expiration, options.TTL)
	if err != nil {
		return err
	}
	return check(C.kv_touch(n.ptr, key, at, in))
}

func (o *IncrOptions) toC() (C.luat_kv_incr_options, error) {
	if o == nil {
		o = &IncrOptions{}
	}
	at, in, err := seconds(o.Expiration, o.TTL)
	return C.kv_incr_options(C.int64_t(o.Initial), at, in), err
}

// Incr adds to the integer that a key holds as decimal text, such as "42", and returns the sum, in one step. A missing
// key is created; an existing key keeps its metadata and expiration.
func (n *Namespace) Incr(key string, by int64, options *IncrOptions) (int64, error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	cOptions, err := options.toC()
	if err != nil {
		return 0, err
	}
	r := C.kv_incr(n.ptr, key, C.int64_t(by), cOptions)
	return int64(r.number), check(r)
}

// Delete removes a key. A missing key is not an error.
func (n *Namespace) Delete(key string) error {
	_, err := n.Remove(key)
	return err
}

// Remove is like Delete, and reports whether the key existed.
func (n *Namespace) Remove(key string) (bool, error) {
	if err := n.enter(); err != nil {
		return false, err
	}
	defer n.leave()
	return found(C.kv_remove(n.ptr, key))
}

// Take removes a key and returns its entry, in one step: if several callers take the same key, one of them gets the
// entry, and the others get ErrNotFound.
func (n *Namespace) Take(key string) (Entry, error) {
	if err := n.enter(); err != nil {
		return Entry{}, err
	}
	defer n.leave()
	return entryFrom(C.kv_take(n.ptr, key))
}

// Count returns the number of live keys with a prefix; "" means all keys. It reads every one of them.
func (n *Namespace) Count(prefix string) (int64, error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_count(n.ptr, prefix)
	return int64(r.number), check(r)
}

// DeletePrefix removes all keys with a prefix, which must not be empty, and returns how many. It consists of many small
// transactions, between which others can write. After an error, the remaining keys are kept.
func (n *Namespace) DeletePrefix(prefix string) (removed int64, err error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_delete_prefix(n.ptr, prefix)
	return int64(r.number), check(r)
}

// Clear removes all keys of the namespace, in small transactions like DeletePrefix, and returns how many.
func (n *Namespace) Clear() (removed int64, err error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_clear(n.ptr)
	return int64(r.number), check(r)
}
