package luatkv_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"luatkv"
)

// What C allocates is no part of Go's own numbers.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	time.Sleep(10 * time.Millisecond) // finalizers
	debug.FreeOSMemory()
	var size, resident int64
	statm := string(must(os.ReadFile("/proc/self/statm"))(t))
	must(fmt.Sscan(statm, &size, &resident))(t)
	return resident * int64(os.Getpagesize())
}

// A leak of 20 bytes in each operation breaks the bound, round after round. What Go's own heap takes, eight times over
// where the race detector shadows it, comes and goes.
func TestMemoryDoesNotGrow(t *testing.T) {
	const operations, bound = 100_000, 2_000_000
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // a small heap
	store := openMemory(t)
	n := namespace(t, store)
	disk := namespace(t, openFile(t, filepath.Join(t.TempDir(), "kv.db"), nil))
	value, keys := []byte(strings.Repeat("v", 100)), make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%02d", i)
		ok(t, n.Put(keys[i], value, nil))
		ok(t, disk.Put(keys[i], value, nil))
	}
	options := &luatkv.PutOptions{TTL: time.Hour, Metadata: json.RawMessage(`{"a":[1,2,3]}`)}
	for name, operation := range map[string]func(key string) error{
		"get":       func(key string) error { _, err := n.Get(key); return err },
		"get disk":  func(key string) error { _, err := disk.Get(key); return err },
		"entry":     func(key string) error { _, err := n.GetEntry(key); return err },
		"get many":  func(key string) error { _, err := n.GetMany(key, "missing"); return err },
		"put":       func(key string) error { return n.Put(key, value, options) },
		"touch":     func(key string) error { return n.Touch(key, nil) },
		"delete":    func(key string) error { return n.Delete("missing") },
		"incr":      func(key string) error { _, err := n.Incr("n", 1, nil); return err },
		"list":      func(key string) error { _, err := n.List(&luatkv.ListOptions{Prefix: key, Values: true}); return err },
		"batch":     func(key string) error { _, err := store.Batch().Put(n, key, value, options).Commit(); return err },
		"forgotten": func(key string) error { store.Batch().Put(n, key, value, nil); return nil },
		"namespace": func(key string) error { _, err := store.Namespace(key); return err },
		"error": func(key string) error {
			if _, err := n.Get(""); err == nil {
				return fmt.Errorf("no error")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			grown := int64(0)
			for round := 0; round < 4; round++ { // the first one warms up
				before := residentBytes(t)
				for i := 0; i < operations; i++ {
					ok(t, operation(keys[i%len(keys)]))
				}
				if grown = residentBytes(t) - before; round > 0 && grown < bound {
					return
				}
			}
			t.Fatalf("%d operations took %d bytes, %.1f each, again and again", operations, grown, float64(grown)/operations)
		})
	}
}
