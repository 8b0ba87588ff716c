package luatkv

// #cgo CFLAGS: -std=c99
// #cgo linux CFLAGS: -fno-plt
// #include "shim.h"
import "C"

import (
	"math"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// -fno-plt: the loader looks up all functions when the program starts, and names a function that an old library lacks.

// Limits selects the maximum lengths of keys, values and metadata, the minimum lifetime, and the maximum page.
type Limits uint32

const (
	// LimitsDefault allows keys of 4 KiB, values of 512 MiB, metadata of 64 KiB, pages of 10 000 keys, lifetimes from 1
	// s.
	LimitsDefault Limits = C.LUAT_KV_LIMITS_DEFAULT
	// LimitsCloudflare are the limits of Cloudflare Workers KV: keys of 512 bytes (but not "." or ".."), values of 25
	// MiB, metadata of 1024 bytes, pages of 1000 keys, lifetimes from 60 s. They are for an app that must later run
	// there.
	LimitsCloudflare Limits = C.LUAT_KV_LIMITS_CLOUDFLARE
)

// Durability selects the failures that a completed write survives.
type Durability uint32

const (
	// DurabilityNormal survives the death of the process. A power failure may lose the last writes, but never damages
	// the file.
	DurabilityNormal Durability = C.LUAT_KV_DURABILITY_NORMAL
	// DurabilityFull also survives a power failure, at the cost of an fsync for each write.
	DurabilityFull Durability = C.LUAT_KV_DURABILITY_FULL
)

// Options are the options for opening a store. Zero values, and nil for the struct, are the defaults.
type Options struct {
	// BusyTimeout is how long to wait for other processes and stores, rounded up to milliseconds; 0 means 5 s.
	BusyTimeout time.Duration
	// NoWait means not to wait for them at all.
	NoWait bool
	// ReadOnly opens an existing database, and never writes to it.
	ReadOnly   bool
	Limits     Limits
	Durability Durability
	// CacheSize is how much memory the cache of values may take, in bytes, at most the memory of the machine; 0 means 16
	// MiB. The stores on one file share one cache, with the size of the first that reads. A store in memory has none.
	CacheSize int64
	// NoCache means to read without a cache, whatever CacheSize is.
	NoCache bool
}

func (o *Options) toC() (C.luat_kv_open_options, error) {
	if o == nil {
		o = &Options{}
	}
	timeout := o.BusyTimeout / time.Millisecond
	if o.BusyTimeout%time.Millisecond > 0 {
		timeout++
	}
	if o.BusyTimeout < 0 || timeout > math.MaxUint32 {
		return C.luat_kv_open_options{}, invalid("BusyTimeout is %v; it is from 0 to %d ms", o.BusyTimeout, uint32(math.MaxUint32))
	}
	if o.CacheSize < 0 {
		return C.luat_kv_open_options{}, invalid("CacheSize is %d; it is a number of bytes, and 0 means 16 MiB", o.CacheSize)
	}
	var flags C.uint32_t
	if o.ReadOnly {
		flags |= C.LUAT_KV_OPEN_READONLY
	}
	if o.NoWait {
		flags |= C.LUAT_KV_OPEN_NOWAIT
	}
	if o.NoCache {
		flags |= C.LUAT_KV_OPEN_NO_CACHE
	}
	return C.kv_open_options(flags, C.uint32_t(timeout), C.uint32_t(o.Limits), C.uint32_t(o.Durability),
		C.uint64_t(o.CacheSize)), nil
}

// Store is a database file, or memory, that contains namespaces. Any goroutine may use it and close it at any time.
type Store struct {
	// Calls lock mu for reading, so Close waits for calls in progress, and does not free the handles that they use.
	mu  sync.RWMutex
	ptr *C.luat_kv_store // nil if closed

	// The C handles of namespaces, batches and watchers, with the functions that free them. Either a finalizer or Close
	// calls those.
	childrenMu sync.Mutex
	children   map[unsafe.Pointer]func(unsafe.Pointer)
}

// Open opens the store that a URL or a path names.
//
// "postgresql://user@host/database", also with "postgres:", is a PostgreSQL database. The URL is a connection URI of
// libpq. Keep the password in ~/.pgpass or PGPASSWORD; if it is part of the URL, no error contains it. The server decides
// about durability, and there is no cache, so DurabilityFull and a CacheSize are ErrInvalid.
//
// "file:///srv/kv.db" and "file:kv.db" are database files, in which "%20" is a space. A text without a scheme is the
// path of one. If the file is missing, Open creates it with mode 0600, and its folders with 0700. No other code in the
// process may open the file while the store is open, not even to read it.
//
// "memory:" is a new store, like that of OpenMemory. Any other scheme is ErrInvalid, so a path with a colon in its first
// part begins with "./".
func Open(urlOrPath string, options *Options) (*Store, error) {
	return open(options, func(options C.luat_kv_open_options) (C.kv_result, error) {
		cURL, err := newPath(urlOrPath)
		if err != nil {
			return C.kv_result{}, err
		}
		defer C.free(unsafe.Pointer(cURL))
		return C.kv_open_url(cURL, options), nil
	})
}

// OpenProject opens the store of the Luat project that contains a folder; "" means the working directory. If the
// environment variable LUAT_KV_DB is set, it contains the URL or the path of the store, as for Open. Otherwise the
// project's root is the nearest folder upwards that has a luat.toml, or else the folder itself. The store is the one
// whose URL or path is the key kv.url of luat.toml, or else the file "kv.db" in the folder that the key routing.data_dir
// names (default ".luat/data"). Paths are relative to the root.
func OpenProject(dir string, options *Options) (*Store, error) {
	return open(options, func(options C.luat_kv_open_options) (C.kv_result, error) {
		if dir == "" {
			return C.kv_open_project(nil, options), nil
		}
		cDir, err := newPath(dir)
		if err != nil {
			return C.kv_result{}, err
		}
		defer C.free(unsafe.Pointer(cDir))
		return C.kv_open_project(cDir, options), nil
	})
}

// OpenMemory creates an empty store in memory, which is lost when it is closed. Of the options, only Limits has an
// effect; ReadOnly is ErrInvalid.
func OpenMemory(options *Options) (*Store, error) {
	return open(options, func(options C.luat_kv_open_options) (C.kv_result, error) {
		return C.kv_open_memory(options), nil
	})
}

func open(options *Options, call func(C.luat_kv_open_options) (C.kv_result, error)) (*Store, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	cOptions, err := options.toC()
	if err != nil {
		return nil, err
	}
	r, err := call(cOptions)
	if err != nil {
		return nil, err
	}
	if err := check(r); err != nil {
		return nil, err
	}
	s := &Store{ptr: (*C.luat_kv_store)(r.handle), children: map[unsafe.Pointer]func(unsafe.Pointer){}}
	// Not on the finalizers' goroutine, since closing may wait for a disk.
	runtime.SetFinalizer(s, func(s *Store) { go s.Close() })
	return s, nil
}

// newPath copies a path for C. A NUL, which would end the path, is an error.
func newPath(path string) (*C.char, error) {
	if strings.IndexByte(path, 0) >= 0 {
		// It may be a URL with a password, which is not shown.
		return nil, invalid("the path has a NUL in it")
	}
	return C.CString(path), nil
}

// Close closes the store, its namespaces, batches and watchers, after the calls in progress; a wait for changes ends. All
// later calls return ErrClosed. A second Close has no effect. The error is always nil.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ptr == nil {
		return nil
	}
	runtime.SetFinalizer(s, nil)
	s.childrenMu.Lock()
	defer s.childrenMu.Unlock()
	for ptr, free := range s.children {
		free(ptr)
	}
	s.children = nil
	C.luat_kv_close(s.ptr)
	s.ptr = nil
	return nil
}

// enter begins a call, and keeps the store open until leave. The object that owns a handle must be reachable until the
// call ends, or a finalizer would free the handle. So leave is deferred on that object, which keeps it alive.
func (s *Store) enter() error {
	if s == nil {
		return ErrClosed
	}
	s.mu.RLock()
	if s.ptr == nil {
		s.mu.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.mu.RUnlock() }

func (s *Store) adopt(ptr unsafe.Pointer, free func(unsafe.Pointer)) {
	s.childrenMu.Lock()
	defer s.childrenMu.Unlock()
	s.children[ptr] = free
}

// disown frees a handle, unless Close has freed it.
func (s *Store) disown(ptr unsafe.Pointer) {
	s.childrenMu.Lock()
	defer s.childrenMu.Unlock()
	if free, ours := s.children[ptr]; ours {
		delete(s.children, ptr)
		free(ptr)
	}
}

// Namespace returns a namespace of the store: a separate set of keys. Nothing is written until a key is put. It need
// not be closed: the garbage collector frees it, and so does Close of the store.
func (s *Store) Namespace(name string) (*Namespace, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	r := C.kv_namespace_open(s.ptr, name)
	if err := check(r); err != nil {
		return nil, err
	}
	n := &Namespace{store: s, name: name, ptr: (*C.luat_kv_namespace)(r.handle)}
	s.adopt(r.handle, func(ptr unsafe.Pointer) { C.luat_kv_namespace_free((*C.luat_kv_namespace)(ptr)) })
	runtime.SetFinalizer(n, func(n *Namespace) { n.store.disown(unsafe.Pointer(n.ptr)) })
	return n, nil
}

// Namespaces returns the names of all namespaces that have live keys, in byte order.
func (s *Store) Namespaces() ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	page, err := readPage(C.kv_namespaces(s.ptr))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(page.Entries))
	for i := range names {
		names[i] = page.Entries[i].Key
	}
	return names, nil
}
