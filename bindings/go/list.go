package luatkv

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unsafe"
)

// Entry is a key and its contents, at the time when they were read.
type Entry struct {
	Key string
	// Value is nil in a list without values; an empty value is not nil.
	Value []byte
	// Metadata is JSON text, or nil.
	Metadata json.RawMessage
	// Expiration is the time when the entry expires; the zero Time means never.
	Expiration time.Time
	// Version identifies the write that stored the entry, for Batch.Check: opaque text, different for each write of a
	// key.
	Version string
}

func view(b C.luat_kv_bytes) []byte { return unsafe.Slice((*byte)(b.data), int(b.len)) }

func bytesOf(b C.luat_kv_bytes) []byte {
	if b.data == nil {
		return nil
	}
	bytes := make([]byte, int(b.len))
	copy(bytes, view(b))
	return bytes
}

func textOf(b C.luat_kv_bytes) string {
	if b.data == nil {
		return ""
	}
	return string(view(b))
}

func entryOf(v C.kv_view) Entry {
	entry := Entry{Key: textOf(v.key), Value: bytesOf(v.value), Metadata: bytesOf(v.metadata), Version: textOf(v.version)}
	if v.expiration != 0 {
		entry.Expiration = time.Unix(int64(v.expiration), 0)
	}
	return entry
}

// ListOptions selects the keys of a list. Zero values, and nil for the struct, are the defaults.
type ListOptions struct {
	// Prefix selects keys with this prefix. There are no wildcards.
	Prefix string
	// Start selects keys from this one on, inclusive, in byte order for both directions.
	Start string
	// Stop selects keys before this one, exclusive, in byte order for both directions.
	Stop string
	// Reverse lists from the last key to the first.
	Reverse bool
	// Values includes the values. A page then also ends when its values reach 16 MiB.
	Values bool
	// Limit is the maximum number of keys in a page; 0 means 1000.
	Limit int
	// Cursor is the cursor of the page before. It is only valid with the same prefix and direction.
	Cursor string
}

// Page is a page of a list.
type Page struct {
	Entries []Entry
	// Cursor is the value of ListOptions.Cursor for the next page; "" after the last page.
	Cursor string
}

// The number of entries of a page that one call into C reads.
const viewsAtOnce = 128

func least[T int | time.Duration](a, b T) T {
	if a < b {
		return a
	}
	return b
}

// copyPage copies the entries of a page, each by a function.
func copyPage[T any](page *C.luat_kv_page, of func(C.kv_view) T) []T {
	length := int(C.luat_kv_page_len(page))
	copied := make([]T, 0, length)
	views := make([]C.kv_view, least(length, viewsAtOnce))
	for len(copied) < length {
		count := least(length-len(copied), viewsAtOnce)
		C.kv_page_views(page, C.size_t(len(copied)), &views[0], C.size_t(count))
		for _, v := range views[:count] {
			copied = append(copied, of(v))
		}
	}
	return copied
}

// readPage copies a page, and frees the C page.
func readPage(r C.kv_result) (*Page, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	page := (*C.luat_kv_page)(r.handle)
	defer C.luat_kv_page_free(page)
	entries := copyPage(page, entryOf)
	var cursor C.luat_kv_bytes
	cursor.data = unsafe.Pointer(C.luat_kv_page_cursor(page, &cursor.len))
	return &Page{Entries: entries, Cursor: textOf(cursor)}, nil
}

// List returns a page of live keys, in byte order or reverse byte order. Iterate reads all pages.
func (n *Namespace) List(options *ListOptions) (*Page, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	if options == nil {
		options = &ListOptions{}
	}
	if options.Limit < 0 || int64(options.Limit) > math.MaxUint32 {
		return nil, invalid("Limit is %d; it is how many keys a page holds at most, and 0 is 1000", options.Limit)
	}
	var flags C.uint32_t
	if options.Reverse {
		flags |= C.LUAT_KV_LIST_REVERSE
	}
	if options.Values {
		flags |= C.LUAT_KV_LIST_VALUES
	}
	return readPage(C.kv_list(n.ptr, flags, C.uint32_t(options.Limit), options.Prefix, options.Cursor, options.Start,
		options.Stop))
}

// joined returns the concatenation of keys, and their lengths in an array that has an address.
func joined(keys []string) (string, []C.size_t) {
	lens := make([]C.size_t, len(keys)+1)
	for i, key := range keys {
		lens[i] = C.size_t(len(key))
	}
	return strings.Join(keys, ""), lens
}

// GetMany reads the values of 1 to 10 000 keys (with LimitsCloudflare, to 100) at once, with their metadata, expiration
// and version, all as of one moment. The map contains the keys that exist.
func (n *Namespace) GetMany(keys ...string) (map[string]Entry, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	text, lens := joined(keys)
	page, err := readPage(C.kv_get_many(n.ptr, text, &lens[0], C.size_t(len(keys))))
	if err != nil {
		return nil, err
	}
	entries := make(map[string]Entry, len(page.Entries))
	for _, entry := range page.Entries {
		entries[entry.Key] = entry
	}
	return entries, nil
}

// Iterator iterates over the keys of a list, page after page, like a bufio.Scanner. One goroutine at a time may use it.
// It need not be closed, and a caller may stop at any key.
//
//	keys := users.Iterate(&luatkv.ListOptions{Prefix: "user:"})
//	for keys.Next() {
//		fmt.Println(keys.Key())
//	}
//	if err := keys.Err(); err != nil { … }
type Iterator struct {
	namespace *Namespace
	options   ListOptions
	grows     bool // whether each page is larger than the one before
	entries   []Entry
	entry     Entry
	last      bool
	err       error
}

// The size of an iterator's first page, and the maximum size of its later pages, in keys, if its options have no limit.
const firstPage, lastPage = 4, 1000

// Iterate begins at the first key, or at the cursor of the options. Limit is the number of keys that are read at once.
// With a limit of 0 the first page is small, for callers that stop early, and each page is larger than the one before.
// The iteration includes keys that are put meanwhile, and leaves out those that are deleted, if it has not read them
// yet.
func (n *Namespace) Iterate(options *ListOptions) *Iterator {
	if options == nil {
		options = &ListOptions{}
	}
	i := &Iterator{namespace: n, options: *options, grows: options.Limit == 0}
	if i.grows {
		i.options.Limit = firstPage
	}
	return i
}

// Next moves to the next key. It returns false at the end, and after an error.
func (i *Iterator) Next() bool {
	for len(i.entries) == 0 {
		i.entry = Entry{}
		if i.last {
			return false
		}
		page, err := i.namespace.List(&i.options)
		if err != nil {
			i.err, i.last = err, true
			return false
		}
		i.entries, i.options.Cursor, i.last = page.Entries, page.Cursor, page.Cursor == ""
		if i.grows {
			i.options.Limit = least(4*i.options.Limit, lastPage)
		}
	}
	i.entry, i.entries = i.entries[0], i.entries[1:]
	return true
}

// Key returns the current key; "" before the first call of Next, and at the end.
func (i *Iterator) Key() string { return i.entry.Key }

// Entry returns the current key with its contents. They include the value if the options have Values.
func (i *Iterator) Entry() Entry { return i.entry }

// Err returns the error that ended the iteration, or nil.
func (i *Iterator) Err() error { return i.err }
