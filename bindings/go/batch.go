package luatkv

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// Batch is changes to one or more namespaces of one store, gathered and then made in one transaction, in their order:
// all of them or none. An error on the way is kept, and returned by Commit.
//
//	version, err := store.Batch().Check(stock, "apples", apples.Version).Put(stock, "apples", left, nil).Commit()
type Batch struct {
	store *Store
	mu    sync.Mutex // C lets one thread at a time use a batch
	ptr   *C.luat_kv_batch
	err   error
}

// Batch begins a batch, empty as yet. Nothing is written, and nobody waits, until it is committed; what is not is
// forgotten.
func (s *Store) Batch() *Batch {
	b := &Batch{store: s}
	if b.err = s.enter(); b.err != nil {
		return b
	}
	defer s.leave()
	r := C.kv_batch_open(s.ptr)
	if b.err = check(r); b.err != nil {
		return b
	}
	b.ptr = (*C.luat_kv_batch)(r.handle)
	s.adopt(r.handle, func(ptr unsafe.Pointer) { C.luat_kv_batch_free((*C.luat_kv_batch)(ptr)) })
	runtime.SetFinalizer(b, (*Batch).free)
	return b
}

func (b *Batch) free() { b.store.disown(unsafe.Pointer(b.ptr)) }

// add makes a call, unless there was an error before.
func (b *Batch) add(n *Namespace, call func() error) *Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b
	}
	if b.err = n.enter(); b.err != nil {
		return b
	}
	defer n.leave()
	if n.store != b.store { // whose handles could be freed meanwhile
		b.err = invalid("the namespace %q is another store's", n.name)
		return b
	}
	b.err = call()
	return b
}

// Check adds a condition: the batch is to change something only if a key still has this version, that is if nobody has
// written it since. "" is that the key must be missing. It sees what the batch itself has changed before.
func (b *Batch) Check(n *Namespace, key, version string) *Batch {
	return b.add(n, func() error { return check(C.kv_batch_check(b.ptr, n.ptr, key, version)) })
}

// Put adds what Namespace.Put does. The value is copied; a lifetime begins with the commit.
func (b *Batch) Put(n *Namespace, key string, value []byte, options *PutOptions) *Batch {
	return b.add(n, func() error {
		if options == nil {
			options = &PutOptions{}
		}
		at, in, err := seconds(options.Expiration, options.TTL)
		if err != nil {
			return err
		}
		bytes, length := data(value)
		metadata, metadataLen := data(options.Metadata)
		return check(C.kv_batch_put(b.ptr, n.ptr, key, bytes, length, at, in, metadata, metadataLen))
	})
}

// Delete adds what Namespace.Delete does.
func (b *Batch) Delete(n *Namespace, key string) *Batch {
	return b.add(n, func() error { return check(C.kv_batch_delete(b.ptr, n.ptr, key)) })
}

// Incr adds what Namespace.Incr does. What cannot be counted fails the commit.
func (b *Batch) Incr(n *Namespace, key string, by int64, options *IncrOptions) *Batch {
	return b.add(n, func() error {
		cOptions, err := options.toC()
		if err != nil {
			return err
		}
		return check(C.kv_batch_incr(b.ptr, n.ptr, key, C.int64_t(by), cOptions))
	})
}

// Commit makes all the changes of the batch, or none of them. It returns the version that all entries have which the
// batch stored; ErrConflict if a condition did not hold; or the first error of the calls before. After these the batch is
// at its end. After any other error, such as ErrBusy, it is as it was, and can be committed again.
func (b *Batch) Commit() (version string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return "", b.err
	}
	if err := b.store.enter(); err != nil {
		return "", err
	}
	defer b.store.leave()
	err = check(C.kv_batch_commit(b.ptr))
	if err != nil && err != ErrConflict {
		return "", err
	}
	if err == nil {
		version = textOf(C.kv_batch_version(b.ptr))
	}
	b.err = invalid("the batch was committed before")
	runtime.SetFinalizer(b, nil)
	b.free()
	return version, err
}
