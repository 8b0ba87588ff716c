package luatkv

// #include "shim.h"
import "C"

import "unsafe"

// Stats is what a store held when it was counted.
type Stats struct {
	// Path is the database file's absolute path, or "memory".
	Path string
	// FileSize is how many bytes the file takes on disk, with the log beside it; 0 in memory.
	FileSize int64
	// Namespaces are those that have keys, expired ones included, in byte order of their names.
	Namespaces []NamespaceStats
}

// NamespaceStats is how many keys a namespace has.
type NamespaceStats struct {
	Name string
	// Live keys, and Expired ones, which are still to be swept away.
	Live, Expired int64
}

// Stats counts what the store holds, entry by entry.
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
	stats := &Stats{
		Path:       C.GoString(C.luat_kv_stats_path(c)),
		FileSize:   int64(C.luat_kv_stats_file_size(c)),
		Namespaces: make([]NamespaceStats, int(C.luat_kv_stats_len(c))),
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

// Sweep removes expired entries from the file, max at most or, with 0, all of them, and counts them. Nobody can see
// expired entries, and writes remove them little by little, so this is never needed for correct results.
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

// Compact writes the file anew, without the room that removed entries have left in it. Meanwhile it takes that much room
// again, and other calls that write wait, in this process and others, at most for their busy timeout.
func (s *Store) Compact() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return check(C.kv_compact(s.ptr))
}

// Checkpoint moves the log that lies beside the file into it. SQLite does so by itself, now and then; this is for a
// moment of your choice. It is not complete where somebody who is reading an older state, or writing, held some back.
func (s *Store) Checkpoint() (complete bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	r := C.kv_checkpoint(s.ptr)
	return r.number == 1, check(r)
}

// Backup copies the whole store, as it is at one moment, into a new database file, while others can write. The file's
// folder must be there, and the file must not. A store in memory is ErrInvalid: it has Namespace.Export instead.
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
