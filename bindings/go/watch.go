package luatkv

// #include "shim.h"
import "C"

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// WatchOptions selects the keys of a watch. Zero values, and nil for the struct, are the defaults: all keys of the
// namespace.
type WatchOptions struct {
	// Keys selects these keys, at most 1000, whether they exist or not. Without a key in it, it is ErrInvalid; nil means
	// all keys, or those with the prefix.
	Keys []string
	// Prefix selects keys with this prefix. There are no wildcards. Keys and a prefix are ErrInvalid.
	Prefix string
	// Existing begins with what is there: every live key is returned first, as ChangePut. A program that keeps a copy of
	// the keys needs no list then, and can miss nothing between that and the watch.
	Existing bool
	// Since is the Token of an earlier watcher of this namespace, to go on from there: what has changed since then is
	// returned first. If that one had other keys, or another prefix, keys that only this one has are returned as if they
	// were new. Empty: from now on. With Existing it is ErrInvalid.
	Since string
	// Values includes the new values. The changes of one batch may then be returned in parts, if their values amount to
	// more than 16 MiB.
	Values bool
}

// ChangeType is what has become of a key: ChangePut or ChangeDelete.
type ChangeType string

const (
	// ChangePut means that the key was stored, by any write that gave it a new version.
	ChangePut ChangeType = "put"
	// ChangeDelete means that the key was removed, or has expired.
	ChangeDelete ChangeType = "delete"
)

// Change is the latest state of a key that has changed.
type Change struct {
	// Entry is what the key holds after ChangePut; its value is nil without WatchOptions.Values. After ChangeDelete it
	// has only the key.
	Entry
	Type ChangeType
	// Expired means that the key was not removed, but has expired. Its Type is ChangeDelete.
	Expired bool
}

func changeOf(v C.kv_view) Change {
	change := Change{Entry: entryOf(v), Type: ChangeDelete}
	switch v.change {
	case C.LUAT_KV_CHANGE_PUT:
		change.Type = ChangePut
	case C.LUAT_KV_CHANGE_EXPIRE:
		change.Expired = true
	case C.LUAT_KV_CHANGE_DELETE: // and numbers of a later library: there is no more than the key
	}
	return change
}

// Watcher reports what changes, whoever changes it: this process or another one. One goroutine at a time may wait with
// it; any goroutine may close it.
//
// It compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys. On Linux, a
// goroutine that waits needs no thread of its own: the library has one thread for all the watchers of a store, and each
// watcher has two descriptors. On other systems, and if the process has no descriptors left, it takes a thread while it
// waits, and notices within 50 ms that its context is done.
type Watcher struct {
	store *Store
	ptr   *C.luat_kv_watch
	file  *os.File    // becomes readable when the store may have changed; nil if there is none
	waits atomic.Bool // whether a goroutine is in Next or Poll
	mu    sync.Mutex  // held by that one until it returns, and by others for a moment
	end   *watcherEnd
}

// watcherEnd is apart from its Watcher, which the store must not keep from the garbage collector.
type watcherEnd struct {
	closed atomic.Bool
	// What Token returns after Close of the store.
	token string
	err   error
}

// slice is the longest wait within one call into C, which neither a context nor Close can end.
const slice = 50 * time.Millisecond

// Watcher begins to watch keys: Next returns what changes from now on. What the keys hold now is no change, unless
// WatchOptions.Existing is set. A program that keeps a copy of the keys sets it. With a list of its own it could miss
// the removal of a key that was put just before the list and removed just after.
//
// Close the watcher when it is not needed any more. (The garbage collector does it late, and Close of the store too.)
func (n *Namespace) Watcher(options *WatchOptions) (*Watcher, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	if options == nil {
		options = &WatchOptions{}
	}
	if options.Keys != nil && len(options.Keys) == 0 {
		return nil, invalid("Keys has no key in it; nil means all keys")
	}
	var flags C.uint32_t
	if options.Values {
		flags |= C.LUAT_KV_WATCH_VALUES
	}
	if options.Existing {
		flags |= C.LUAT_KV_WATCH_EXISTING
	}
	text, lens := joined(options.Keys)
	r := C.kv_watch_open(n.ptr, flags, options.Prefix, options.Since, text, &lens[0], C.size_t(len(options.Keys)))
	if err := check(r); err != nil {
		return nil, err
	}
	ptr := (*C.luat_kv_watch)(r.handle)
	file := fileThatWakes(ptr)
	end := new(watcherEnd)
	w := &Watcher{store: n.store, ptr: ptr, file: file, end: end}
	n.store.adopt(r.handle, func(unsafe.Pointer) {
		file.Close()            // ends a wait; nil is only an error
		if !end.closed.Load() { // Close of the store
			end.token, end.err = tokenOf(ptr)
		}
		C.luat_kv_watch_free(ptr)
	})
	runtime.SetFinalizer(w, (*Watcher).free)
	return w, nil
}

func (w *Watcher) free() {
	w.end.closed.Store(true)
	w.store.disown(unsafe.Pointer(w.ptr))
}

// fileThatWakes returns a file for Go's poller, or nil if there is none.
func fileThatWakes(watch *C.luat_kv_watch) *os.File {
	fd := C.kv_watch_fd(watch)
	if fd < 0 {
		return nil
	}
	file := os.NewFile(uintptr(fd), "luat_kv watch")
	if file.SetReadDeadline(time.Time{}) != nil { // the poller does not have it
		file.Close()
		return nil
	}
	return file
}

// Next returns the changes since the last call: for each key that has changed its latest state, in byte order of the
// keys, and together what one batch has changed. It waits until there is one, or until ctx is done; then it returns the
// error of ctx. An expiry alone wakes nobody: it is returned when the store changes next.
//
// After an error nothing is lost, and the call can be repeated. While another goroutine is in Next or Poll, and after
// Close, it is ErrInvalid.
func (w *Watcher) Next(ctx context.Context) ([]Change, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	defer w.leave()
	timeout := slice
	if w.file != nil {
		timeout = 0
	}
	var failed error // to wait
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changes, err := w.look(timeout)
		if err != nil || len(changes) > 0 {
			return changes, err
		}
		if failed != nil { // neither because of ctx nor of Close
			return nil, failed
		}
		if w.file != nil {
			failed = w.wait(ctx)
		}
	}
}

// Poll is like Next, but does not wait. It returns no changes if there are none.
func (w *Watcher) Poll() ([]Change, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	defer w.leave()
	return w.look(0)
}

// Token returns a token, from which a later watcher goes on (WatchOptions.Since), also in another process. It covers all
// changes that Next and Poll have returned. A token is never too old. It contains what the watcher knows of each key, in
// about 40 bytes and the part of the key that differs from the one before; so a program with many keys saves one now
// and then, and not after each change.
//
// It still works after Close of the store. While another goroutine is in Next or Poll, and after Close, it is ErrInvalid.
func (w *Watcher) Token() (string, error) {
	if err := w.check(); err != nil {
		return "", err
	}
	for !w.mu.TryLock() {
		if w.waits.Load() {
			return "", errWatcherInUse
		}
		runtime.Gosched()
	}
	defer w.mu.Unlock()
	if w.store.enter() == nil {
		defer w.store.leave()
		return tokenOf(w.ptr)
	}
	if w.end.closed.Load() { // perhaps before the store was
		return "", errWatcherClosed
	}
	return w.end.token, w.end.err
}

func tokenOf(watch *C.luat_kv_watch) (string, error) {
	r := C.kv_watch_token(watch)
	if err := check(r); err != nil {
		return "", err
	}
	return string(unsafe.Slice((*byte)(r.handle), r.number)), nil
}

func (w *Watcher) check() error {
	if w == nil {
		return ErrClosed
	}
	if w.end.closed.Load() {
		return errWatcherClosed
	}
	return nil
}

// begin locks the watcher for Next or Poll, until leave.
func (w *Watcher) begin() error {
	if err := w.check(); err != nil {
		return err
	}
	if !w.waits.CompareAndSwap(false, true) {
		return errWatcherInUse
	}
	w.mu.Lock()
	return nil
}

func (w *Watcher) leave() {
	w.mu.Unlock()
	w.waits.Store(false)
}

var (
	errWatcherClosed = invalid("the watcher is closed")
	errWatcherInUse  = invalid("another goroutine waits with this watcher; each needs its own")
)

// look returns the changes, and waits for them within C.
func (w *Watcher) look(timeout time.Duration) ([]Change, error) {
	if err := w.store.enter(); err != nil {
		return nil, err
	}
	defer w.store.leave()
	if w.end.closed.Load() {
		return nil, errWatcherClosed
	}
	r := C.kv_watch_next(w.ptr, C.int64_t(timeout/time.Millisecond))
	if r.status == C.LUAT_KV_TIMEOUT {
		return nil, nil
	}
	if err := check(r); err != nil {
		return nil, err
	}
	page := (*C.luat_kv_page)(r.handle)
	defer C.luat_kv_page_free(page)
	return copyPage(page, changeOf), nil
}

// wait waits until the file is readable or closed, or ctx is done. It keeps no lock of the store: Close of the store
// closes the file, which waits until nobody uses it.
func (w *Watcher) wait(ctx context.Context) error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	w.file.SetReadDeadline(time.Time{})
	if done := ctx.Done(); done != nil {
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-done:
				w.file.SetReadDeadline(time.Unix(1, 0))
			case <-over:
			}
		}()
		defer func() {
			close(over)
			<-ended // so that it does not end the next wait
		}()
	}
	return conn.Read(func(fd uintptr) bool { return C.kv_is_readable(C.int(fd)) != 0 })
}

// Close ends the watch, and a call of Next that waits. A second Close has no effect. The error is always nil.
func (w *Watcher) Close() error {
	if w == nil {
		return nil
	}
	w.end.closed.Store(true)
	w.file.Close() // ends a wait; nil is only an error
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ptr != nil {
		runtime.SetFinalizer(w, nil)
		w.free()
		w.ptr = nil
	}
	return nil
}
