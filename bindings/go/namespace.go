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

// PutOptions says how to store a value. Zero values, and nil for the struct, are the defaults.
type PutOptions struct {
	// Expiration is when the entry is gone, in the future; the zero Time is never.
	Expiration time.Time
	// TTL is the same from now, at least a second. It wins over Expiration where both are set.
	TTL time.Duration
	// Metadata is JSON text of any value but null, kept as it is; empty is none.
	Metadata json.RawMessage
}

// TouchOptions says when a key is to be gone. Zero values, and nil for the struct, are never.
type TouchOptions struct {
	// Expiration is when the entry is gone, in the future.
	Expiration time.Time
	// TTL is the same from now, at least a second. It wins over Expiration where both are set.
	TTL time.Duration
}

// IncrOptions says how to create a key that is missing; one that is there keeps its own expiration. Zero values, and nil
// for the struct, are the defaults.
type IncrOptions struct {
	// Initial is what a missing key counts from.
	Initial int64
	// Expiration is when a key that is created is gone, in the future; the zero Time is never.
	Expiration time.Time
	// TTL is the same from now, at least a second. It wins over Expiration where both are set.
	TTL time.Duration
}

// seconds returns when an entry is to be gone as C has it: whole seconds, rounded up, and 0 for none.
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
		if at <= 0 && in == 0 { // C takes 0 for never
			return 0, 0, invalid("Expiration %v is not in the future", expiration)
		}
	}
	return at, in, nil
}

// data returns where bytes begin, for the length of one call.
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

// Most values fit in here, and are then copied once more: into a slice of their own length.
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
	for r.status == C.LUAT_KV_TOO_SMALL { // again, if somebody has put a longer one meanwhile
		value = make([]byte, int(r.number))
		r = C.kv_get(n.ptr, key, (*C.uint8_t)(unsafe.Pointer(&value[0])), C.size_t(len(value)))
	}
	if err := check(r); err != nil {
		return nil, err
	}
	return value[:r.number:r.number], nil
}

// GetJSON reads a key's value as JSON into what v points to. ErrNotFound leaves v alone; a value that does not fit is an
// error of encoding/json.
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

// entryFrom returns the entry that a call gave, and frees the library's own.
func entryFrom(r C.kv_result) (Entry, error) {
	if err := check(r); err != nil {
		return Entry{}, err
	}
	entry := (*C.luat_kv_entry)(r.handle)
	defer C.luat_kv_entry_free(entry)
	return entryOf(C.kv_entry_view(entry)), nil
}

// Has reports whether a key is there, without reading its value.
func (n *Namespace) Has(key string) (bool, error) {
	if err := n.enter(); err != nil {
		return false, err
	}
	defer n.leave()
	return found(C.kv_has(n.ptr, key))
}

// found returns whether a call found its key: ErrNotFound is false.
func found(r C.kv_result) (bool, error) {
	err := check(r)
	if err == ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// Put stores a value, and replaces all that the key held before: value, metadata and expiration. A nil value is an empty
// one.
func (n *Namespace) Put(key string, value []byte, options *PutOptions) error {
	return n.put(0, key, value, options, nil)
}

// PutVersioned is as Put, and returns the version of the new entry, for Batch.Check.
func (n *Namespace) PutVersioned(key string, value []byte, options *PutOptions) (version string, err error) {
	return n.putVersioned(0, key, value, options)
}

// PutJSON stores what json.Marshal makes of v.
func (n *Namespace) PutJSON(key string, v any, options *PutOptions) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return n.Put(key, value, options)
}

// Add stores a value if the key is missing, and else returns ErrConflict.
func (n *Namespace) Add(key string, value []byte, options *PutOptions) error {
	return n.put(1, key, value, options, nil)
}

// AddVersioned is as Add, and returns the version of the new entry, for Batch.Check. It is "" with ErrConflict.
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

// Touch gives a key another expiration, or none; its value and metadata stay. A missing key is ErrNotFound.
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

// Incr adds to the whole number that a key holds as decimal text, as in "42", and returns the sum. A missing key is
// created; one that is there keeps its metadata and expiration. Nobody can write in between.
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

// Delete removes a key. That it is missing is no error.
func (n *Namespace) Delete(key string) error {
	_, err := n.Remove(key)
	return err
}

// Remove is as Delete, and reports whether the key was there.
func (n *Namespace) Remove(key string) (bool, error) {
	if err := n.enter(); err != nil {
		return false, err
	}
	defer n.leave()
	return found(C.kv_remove(n.ptr, key))
}

// Take removes a key and returns the entry that it held, in one step: where several callers take the same key, one of them
// gets the entry, and the others ErrNotFound.
func (n *Namespace) Take(key string) (Entry, error) {
	if err := n.enter(); err != nil {
		return Entry{}, err
	}
	defer n.leave()
	return entryFrom(C.kv_take(n.ptr, key))
}

// Count counts the live keys that begin with a prefix, by going through them; "" is all keys.
func (n *Namespace) Count(prefix string) (int64, error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_count(n.ptr, prefix)
	return int64(r.number), check(r)
}

// DeletePrefix removes all keys that begin with a prefix, which must not be empty, and counts them. This is many small
// transactions, between which others can write: an error half-way leaves the rest in place.
func (n *Namespace) DeletePrefix(prefix string) (removed int64, err error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_delete_prefix(n.ptr, prefix)
	return int64(r.number), check(r)
}

// Clear removes all keys of the namespace, as DeletePrefix does, and counts them.
func (n *Namespace) Clear() (removed int64, err error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_clear(n.ptr)
	return int64(r.number), check(r)
}
