package luatkv

// #include "shim.h"
import "C"

import "unsafe"

// Stats is the contents of a store in numbers.
type Stats struct {
	// Path is the database file's absolute path, or "memory", or the URL of the PostgreSQL database without its password.
	Path string
	// FileSize is the size on disk in bytes, including the log beside the file; 0 in memory.
	FileSize int64
	// Namespaces are the namespaces that have keys, including expired ones, in byte order of their names.
	Namespaces []NamespaceStats
	// Cache is the cache of values.
	Cache CacheStats
}

// NamespaceStats is the numbers of keys of a namespace.
type NamespaceStats struct {
	Name string
	// Live is the number of live keys, Expired the number of expired keys that have not been swept yet.
	Live, Expired int64
}

// CacheStats is what the cache of values has done, since this process has the file open. All numbers are 0 in memory.
type CacheStats struct {
	// Hits is the number of keys that were read from the cache, Misses the number of those that were not in it, and were
	// read by SQLite.
	Hits, Misses int64
	// Drops is how often the cache was emptied, because the file was written to in another way than by single writes of
	// this process.
	Drops int64
	// Size is the memory that the cache takes, in bytes.
	Size int64
}

// Stats returns the contents of the store in numbers. It counts every entry.
func (s *Store) Stats() (*Stats, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	r := C.kv_stats_read(s.ptr)
	if err := check(r); err != nil {
		return nil, err
	}
	c := (*C.luat_kv_stats)(r.handle)
	defer C.luat_kv_stats_free(c)
	cache := C.kv_stats_cache(c)
	stats := &Stats{
		Path:       C.GoString(C.luat_kv_stats_path(c)),
		FileSize:   int64(C.luat_kv_stats_file_size(c)),
		Namespaces: make([]NamespaceStats, int(C.luat_kv_stats_len(c))),
		Cache: CacheStats{
			Hits:   int64(cache.hits),
			Misses: int64(cache.misses),
			Drops:  int64(cache.drops),
			Size:   int64(cache.size),
		},
	}
	for i := range stats.Namespaces {
		var name C.luat_kv_bytes
		name.data = unsafe.Pointer(C.luat_kv_stats_name(c, C.size_t(i), &name.len))
		stats.Namespaces[i] = NamespaceStats{
			Name:    textOf(name),
			Live:    int64(C.luat_kv_stats_live(c, C.size_t(i))),
			Expired: int64(C.luat_kv_stats_expired(c, C.size_t(i))),
		}
	}
	return stats, nil
}

// Sweep removes expired entries, at most max or, with 0, all of them, and returns how many. It is never needed for
// correct results: they do not contain expired entries, and each write removes a few.
func (s *Store) Sweep(max int64) (removed int64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if max < 0 {
		return 0, invalid("max is %d; it is how many entries to sweep at most, and 0 is all of them", max)
	}
	r := C.kv_sweep(s.ptr, C.uint64_t(max))
	return int64(r.number), check(r)
}

// Compact rewrites the file without the space that removed entries have left. Meanwhile other calls that write wait, in
// this process and others, at most for their busy timeout. It takes at most as much disk space as the used part of the
// file, twice. It does nothing in memory, and on a PostgreSQL server.
func (s *Store) Compact() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return check(C.kv_compact(s.ptr))
}

// Checkpoint moves the log beside the file into it. SQLite also does this by itself from time to time. The result is
// false if another writer, or a reader of an older state, held back a part of the log.
func (s *Store) Checkpoint() (complete bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	r := C.kv_checkpoint(s.ptr)
	return r.number == 1, check(r)
}

// Backup copies the whole store, as of one moment, into a new database file, while others can write. The file's folder
// must exist, and the file must not. A store in memory returns ErrInvalid: use Namespace.Export instead. So does one on a
// PostgreSQL server: use pg_dump.
func (s *Store) Backup(path string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	cPath, err := newPath(path)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(cPath))
	return check(C.kv_backup(s.ptr, cPath))
}
