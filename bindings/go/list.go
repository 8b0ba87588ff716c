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

// Entry is a key and what it holds, as it was when it was read.
type Entry struct {
	Key string
	// Value is nil in a list without values; an empty value is not nil.
	Value []byte
	// Metadata is JSON text, or nil.
	Metadata json.RawMessage
	// Expiration is when the entry is gone; the zero Time is never.
	Expiration time.Time
	// Version says which write the entry comes from, for Batch.Check: opaque text, another for each write of a key.
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

// ListOptions says which keys to list. Zero values, and nil for the struct, are the defaults.
type ListOptions struct {
	// Prefix : only keys that begin with this; every character stands for itself.
	Prefix string
	// Start : only keys from this one on, itself included, in byte order, whichever way the list goes.
	Start string
	// Stop : only keys before this one, in byte order, whichever way the list goes.
	Stop string
	// Reverse : from the last key to the first.
	Reverse bool
	// Values : with their values. Such a page ends early when its values come to 16 MiB.
	Values bool
	// Limit is how many keys a page holds at most; 0 is 1000.
	Limit int
	// Cursor is where the previous page ended. It goes with the same prefix and direction only.
	Cursor string
}

// Page is some keys of a list.
type Page struct {
	Entries []Entry
	// Cursor is where the next page begins, for ListOptions.Cursor; "" where nothing is left.
	Cursor string
}

// How many entries of a page one call into C looks at.
const viewsAtOnce = 128

func least[T int | time.Duration](a, b T) T {
	if a < b {
		return a
	}
	return b
}

// readPage copies a page, and frees the library's own.
func readPage(r C.kv_result) (*Page, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	page := (*C.luat_kv_page)(r.handle)
	defer C.luat_kv_page_free(page)
	length := int(C.luat_kv_page_len(page))
	entries := make([]Entry, 0, length)
	views := make([]C.kv_view, least(length, viewsAtOnce))
	for len(entries) < length {
		count := least(length-len(entries), viewsAtOnce)
		C.kv_page_views(page, C.size_t(len(entries)), &views[0], C.size_t(count))
		for _, v := range views[:count] {
			entries = append(entries, entryOf(v))
		}
	}
	var cursor C.luat_kv_bytes
	cursor.data = unsafe.Pointer(C.luat_kv_page_cursor(page, &cursor.len))
	return &Page{Entries: entries, Cursor: textOf(cursor)}, nil
}

// List returns a page of live keys, in byte order or the reverse of it. Iterate goes through all pages.
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

// GetMany reads many values at once, with their metadata, expiration and version, all as they are at one moment: 1 to
// 10 000 keys, or with LimitsCloudflare to 100. The map has those that are there.
func (n *Namespace) GetMany(keys ...string) (map[string]Entry, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.leave()
	lens := make([]C.size_t, len(keys)+1) // never empty, so that it has an address
	for i, key := range keys {
		lens[i] = C.size_t(len(key))
	}
	page, err := readPage(C.kv_get_many(n.ptr, strings.Join(keys, ""), &lens[0], C.size_t(len(keys))))
	if err != nil {
		return nil, err
	}
	entries := make(map[string]Entry, len(page.Entries))
	for _, entry := range page.Entries {
		entries[entry.Key] = entry
	}
	return entries, nil
}

// Iterator goes through the keys of a list, page after page, in the way of bufio.Scanner. One goroutine at a time may use
// it. There is nothing to close, and it may be left at any key.
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

// How many keys an iterator reads at once, at first and at last, where its options have no limit.
const firstPage, lastPage = 4, 1000

// Iterate begins at the first key, or at the cursor of the options; their limit is how many keys are read at once. With
// a limit of 0 the first page is small, for callers that leave early, and each page is larger than the one before. Keys
// that are put or deleted meanwhile are seen if they lie ahead.
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

// Next goes to the next key. It returns false at the end, and after an error.
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

// Key returns the key that Next went to; "" before the first, and at the end.
func (i *Iterator) Key() string { return i.entry.Key }

// Entry returns the key that Next went to with what it holds: its value too, if the options asked for values.
func (i *Iterator) Entry() Entry { return i.entry }

// Err returns the error that ended the iteration, or nil.
func (i *Iterator) Err() error { return i.err }
