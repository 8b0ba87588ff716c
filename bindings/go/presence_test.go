package luatkv_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestHasLooksForLiveKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		put(t, n, "key", "v")
		put(t, n, "empty", "")
		put(t, n, "large", strings.Repeat("v", 100_000))
		other := must(store.Namespace("other"))(t)
		for key, want := range map[string]bool{"key": true, "empty": true, "large": true, "ke": false, "key\x00": false} {
			equal(t, must(n.Has(key))(t), want)
			equal(t, must(other.Has(key))(t), false)
		}
		ok(t, n.Delete("key"))
		equal(t, must(n.Has("key"))(t), false)
	})
}

func TestExpiredKeysAreNotRemoved(t *testing.T) {
	n := memory(t)
	for _, key := range []string{"a", "b", "c"} {
		ok(t, n.Put(key, []byte("v"), &luatkv.PutOptions{TTL: time.Second}))
	}
	time.Sleep(2100 * time.Millisecond)
	equal(t, must(n.Has("a"))(t), false)
	equal(t, must(n.Remove("b"))(t), false)
	_, err := n.Take("c")
	equal(t, err == luatkv.ErrNotFound, true)
}

func TestRemoveReportsWhetherTheKeyWasThere(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		put(t, n, "key", "v")
		put(t, n, "stays", "v")
		equal(t, must(n.Remove("key"))(t), true)
		equal(t, must(n.Remove("key"))(t), false)
		equal(t, must(n.Remove("missing"))(t), false)
		ok(t, n.Delete("missing"))
		equal(t, must(n.Count(""))(t), 1)
	})
}

func TestTakeReturnsTheEntryAndRemovesIt(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for _, value := range []string{"", "v\x00alue", strings.Repeat("v", 100_000)} {
			ok(t, n.Put("key", []byte(value), &luatkv.PutOptions{TTL: time.Hour, Metadata: json.RawMessage(`[1]`)}))
			before := must(n.GetEntry("key"))(t)
			taken := must(n.Take("key"))(t)
			equal(t, string(taken.Value), value)
			equal(t, taken.Value == nil, false)
			equal(t, fmt.Sprint(taken), fmt.Sprint(before))
			equal(t, must(n.Has("key"))(t), false)
			none, err := n.Take("key")
			fails(t, err, luatkv.ErrNotFound)
			equal(t, fmt.Sprint(none), fmt.Sprint(luatkv.Entry{}))
		}
	})
}

func TestOfSeveralGoroutinesOneRemovesAKey(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for i := 0; i < 50; i++ {
			put(t, n, fmt.Sprint(i), "v")
		}
		var removed atomic.Int64
		together(4, func(worker int) {
			for i := 0; i < 50; i++ {
				var won bool
				var err error
				if i%2 == 0 {
					won, err = n.Remove(fmt.Sprint(i))
				} else {
					_, err = n.Take(fmt.Sprint(i))
					if won = err == nil; err == luatkv.ErrNotFound {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
				if won {
					removed.Add(1)
				}
			}
		})
		equal(t, removed.Load(), 50)
		equal(t, must(n.Count(""))(t), 0)
	})
}

func TestWritesReturnTheVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		version := func() string { return must(n.GetEntry("key"))(t).Version }
		first := must(n.AddVersioned("key", []byte("1"), &luatkv.PutOptions{Metadata: json.RawMessage(`1`)}))(t)
		equal(t, first, version())
		none, err := n.AddVersioned("key", []byte("2"), nil)
		fails(t, err, luatkv.ErrConflict)
		equal(t, none, "")
		equal(t, version(), first)
		second := must(n.PutVersioned("key", []byte("3"), &luatkv.PutOptions{TTL: time.Hour}))(t)
		equal(t, second, version())
		equal(t, second == first, false)
		_, err = store.Batch().Check(n, "key", first).Put(n, "key", nil, nil).Commit()
		fails(t, err, luatkv.ErrConflict)
		must(store.Batch().Check(n, "key", second).Put(n, "key", []byte("4"), nil).Commit())(t)
		none, err = n.PutVersioned("", []byte("5"), nil)
		fails(t, err, luatkv.ErrInvalid)
		equal(t, none, "")
		none, err = n.PutVersioned("key", []byte("5"), &luatkv.PutOptions{TTL: time.Millisecond})
		fails(t, err, luatkv.ErrInvalid)
		equal(t, none, "")
		equal(t, get(t, n, "key"), "4")
	})
}
