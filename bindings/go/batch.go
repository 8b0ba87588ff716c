package luatkv

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// Batch collects changes to one or more namespaces of a store. Commit applies them in their order, in one transaction:
// all of them or none. An error of a method is stored, and returned by Commit.
//
//	version, err := store.Batch().Check(stock, "apples", apples.Version).Put(stock, "apples", left, nil).Commit()
type Batch struct {
	store *Store
	mu    sync.Mutex // in C, a batch may be used by one thread at a time
	ptr   *C.luat_kv_batch
	err   error
}

// Batch returns a new, empty batch. It writes nothing and blocks no other call until it is committed. A batch that is
// not committed is discarded.
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
	if n.store != b.store { // the handles of another store could be freed meanwhile
		b.err = invalid("the namespace %q is another store's", n.name)
		return b
	}
	b.err = call()
	return b
}

// Check adds a condition: the batch is applied only if a key still has this version, so only if it was not written
// since. "" means that the key must be missing. The condition takes earlier changes of the same batch into account.
func (b *Batch) Check(n *Namespace, key, version string) *Batch {
	return b.add(n, func() error { return check(C.kv_batch_check(b.ptr, n.ptr, key, version)) })
}

// Put adds a Namespace.Put. The value is copied; a lifetime begins with the commit.
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

// Delete adds a Namespace.Delete.
func (b *Batch) Delete(n *Namespace, key string) *Batch {
	return b.add(n, func() error { return check(C.kv_batch_delete(b.ptr, n.ptr, key)) })
}

// Incr adds a Namespace.Incr. If the key's value is not an integer, the commit fails.
func (b *Batch) Incr(n *Namespace, key string, by int64, options *IncrOptions) *Batch {
	return b.add(n, func() error {
		cOptions, err := options.toC()
		if err != nil {
			return err
		}
		return check(C.kv_batch_incr(b.ptr, n.ptr, key, C.int64_t(by), cOptions))
	})
}

// Commit applies all changes of the batch, or none of them. It returns the version of all entries that the batch
// stored; ErrConflict if a condition did not hold; or the first error of the calls before. After these the batch cannot
// be used again. After any other error, such as ErrBusy, it is unchanged, and can be committed again.
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
