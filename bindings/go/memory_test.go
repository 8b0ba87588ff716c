package luatkv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

// The operations that are repeated, with an existing key.
var operations = map[string]func(o *objects, key string) error{
	"get":      func(o *objects, key string) error { _, err := o.n.Get(key); return err },
	"get disk": func(o *objects, key string) error { _, err := o.disk.Get(key); return err },
	"entry":    func(o *objects, key string) error { _, err := o.n.GetEntry(key); return err },
	"get many": func(o *objects, key string) error { _, err := o.n.GetMany(key, "missing"); return err },
	"put":      func(o *objects, key string) error { return o.n.Put(key, o.value, o.options) },
	"touch":    func(o *objects, key string) error { return o.n.Touch(key, nil) },
	"delete":   func(o *objects, key string) error { return o.n.Delete("missing") },
	"incr":     func(o *objects, key string) error { _, err := o.n.Incr("n", 1, nil); return err },
	"list": func(o *objects, key string) error {
		_, err := o.n.List(&luatkv.ListOptions{Prefix: key, Values: true})
		return err
	},
	"batch": func(o *objects, key string) error {
		_, err := o.store.Batch().Put(o.n, key, o.value, o.options).Commit()
		return err
	},
	"forgotten": func(o *objects, key string) error { o.store.Batch().Put(o.n, key, o.value, nil); return nil },
	"watch": func(o *objects, key string) error {
		if o.watcher == nil || strings.HasSuffix(key, "0") { // a tenth, since it starts a thread
			var token string
			var err error
			if o.watcher != nil {
				if token, err = o.watcher.Token(); err != nil {
					return err
				}
			}
			if err := o.watcher.Close(); err != nil {
				return err
			}
			options := &luatkv.WatchOptions{Prefix: "key:", Since: token, Values: true}
			if o.watcher, err = o.n.Watcher(options); err != nil {
				return err
			}
		}
		if err := o.n.Put(key, o.value, o.options); err != nil {
			return err
		}
		_, err := o.watcher.Next(context.Background())
		return err
	},
	"namespace": func(o *objects, key string) error { _, err := o.store.Namespace(key); return err },
	"error": func(o *objects, key string) error {
		if _, err := o.n.Get(""); err == nil {
			return fmt.Errorf("no error")
		}
		return nil
	},
}

type objects struct {
	store   *luatkv.Store
	n, disk *luatkv.Namespace
	watcher *luatkv.Watcher
	value   []byte
	options *luatkv.PutOptions
}

// Each operation has a separate process, so that its leak is not hidden by memory that another one has freed.
func TestMemoryDoesNotGrow(t *testing.T) {
	for name := range operations {
		name := name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "kv.db")
			output, exit := child(t, "memory", "LUATKV_TEST_PATH="+path, "LUATKV_TEST_OPERATION="+name)
			equal(t, fmt.Sprint(output, exit), "0")
		})
	}
}

// residentBytes returns the system's number, since Go's statistics do not include memory that C allocates. It waits until
// finalizers have freed what they will, which takes longer on a busy machine.
func residentBytes() (bytes int64, err error) {
	const settled = 5
	for same := 0; same < settled; same++ {
		debug.FreeOSMemory()
		time.Sleep(10 * time.Millisecond)
		now, err := residentBytesNow()
		if err != nil {
			return 0, err
		}
		if bytes == 0 || now < bytes {
			bytes, same = now, 0
		}
	}
	return bytes, nil
}

func residentBytesNow() (int64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident int64
	_, err = fmt.Sscan(string(statm), &size, &resident)
	return resident * int64(os.Getpagesize()), err
}

// A leak of 20 bytes in each operation exceeds the bound in every round. The growth of Go's heap (eight times as large
// with the race detector) does not.
func growInChild() error {
	const count, bound = 100_000, 2_000_000
	debug.SetGCPercent(10) // a small heap
	operation := operations[os.Getenv("LUATKV_TEST_OPERATION")]
	o, keys, err := newObjects(os.Getenv("LUATKV_TEST_PATH"))
	if err != nil {
		return err
	}
	grown := int64(0)
	for round := 0; round < 4; round++ { // the first one warms up
		before, err := residentBytes()
		if err != nil {
			return err
		}
		for i := 0; i < count; i++ {
			if err := operation(o, keys[i%len(keys)]); err != nil {
				return err
			}
		}
		after, err := residentBytes()
		if err != nil {
			return err
		}
		if grown = after - before; round > 0 && grown < bound {
			return nil
		}
	}
	return fmt.Errorf("%d operations took %d bytes, %.1f each, again and again", count, grown, float64(grown)/count)
}

func newObjects(path string) (*objects, []string, error) {
	o := &objects{
		value:   []byte(strings.Repeat("v", 100)),
		options: &luatkv.PutOptions{TTL: time.Hour, Metadata: json.RawMessage(`{"a":[1,2,3]}`)},
	}
	file, err := luatkv.Open(path, nil)
	if err != nil {
		return nil, nil, err
	}
	if o.store, err = luatkv.OpenMemory(nil); err != nil {
		return nil, nil, err
	}
	if o.n, err = o.store.Namespace("test"); err != nil {
		return nil, nil, err
	}
	if o.disk, err = file.Namespace("test"); err != nil {
		return nil, nil, err
	}
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%02d", i)
		for _, n := range []*luatkv.Namespace{o.n, o.disk} {
			if err := n.Put(keys[i], o.value, nil); err != nil {
				return nil, nil, err
			}
		}
	}
	return o, keys, nil
}
