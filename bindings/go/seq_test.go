//go:build go1.23

package luatkv_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestAllEntriesInARangeLoop(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for i := 0; i < 1500; i++ {
			put(t, n, fmt.Sprintf("k%04d", i), fmt.Sprint(i))
		}
		options := &luatkv.ListOptions{Prefix: "k1", Values: true, Reverse: true}
		entries := n.All(options)
		options.Prefix = "other" // it was copied
		for round := 0; round < 2; round++ {
			next := 1499
			for entry, err := range entries {
				ok(t, err)
				equal(t, entry.Key, fmt.Sprintf("k%04d", next))
				equal(t, string(entry.Value), fmt.Sprint(next))
				next--
			}
			equal(t, next, 999)
		}
		count := 0
		for entry, err := range n.All(nil) {
			ok(t, err)
			equal(t, entry.Value == nil, true)
			if count++; count == 10 {
				break
			}
		}
		equal(t, count, 10)
	})
}

func TestAnErrorEndsARangeLoop(t *testing.T) {
	store := openMemory(t)
	n := namespace(t, store)
	for i := 0; i < 10; i++ {
		put(t, n, fmt.Sprint(i), "v")
	}
	turns := 0
	for entry, err := range n.All(&luatkv.ListOptions{Limit: 4}) {
		if turns++; turns == 4 {
			ok(t, err)
			ok(t, store.Close())
		}
		if turns == 5 {
			fails(t, err, luatkv.ErrClosed)
			equal(t, entry.Key, "")
		}
	}
	equal(t, turns, 5)
	for _, err := range n.All(&luatkv.ListOptions{Limit: -1}) {
		fails(t, err, luatkv.ErrClosed)
	}
}

// putUntil puts a key again and again, until the channel is closed: nobody tells when a loop begins to watch.
func putUntil(ended <-chan struct{}, n *luatkv.Namespace, key string) error {
	for {
		if err := n.Put(key, []byte("1"), nil); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

func TestChangesInARangeLoop(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		ctx, cancel := context.WithCancel(context.Background())
		options := &luatkv.WatchOptions{Keys: []string{"a", "b"}, Values: true}
		changes := n.Watch(ctx, options)
		options.Keys[0] = "other" // they were copied
		for _, key := range []string{"a", "b"} {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for change, err := range changes {
					if err != nil || told([]luatkv.Change{change}) != "+"+key+"=1" {
						t.Error(change, err)
					}
					break
				}
			}()
			ok(t, putUntil(ended, n, key))
		}
		ended := make(chan struct{})
		var turns int
		var last error
		go func() {
			defer close(ended)
			for change, err := range changes {
				turns++
				last = err
				if err != nil && told([]luatkv.Change{change}) != "" {
					t.Error(change, err)
				}
				cancel()
			}
		}()
		ok(t, putUntil(ended, n, "a"))
		fails(t, last, context.Canceled)
		equal(t, turns, 2)
	})
}

func TestALoopOverChangesCanBeginWithWhatIsThere(t *testing.T) {
	n := memory(t)
	put(t, n, "a", "1")
	put(t, n, "b", "2")
	keys := ""
	for change, err := range n.Watch(within(t), &luatkv.WatchOptions{Existing: true}) {
		ok(t, err)
		if keys += told([]luatkv.Change{change}); change.Key == "b" {
			break
		}
	}
	equal(t, keys, "+a+b")
}

func TestAnErrorEndsALoopOverChanges(t *testing.T) {
	turns := 0
	for _, err := range memory(t).Watch(context.Background(), &luatkv.WatchOptions{Keys: []string{}}) {
		fails(t, err, luatkv.ErrInvalid, "Keys has no key in it")
		turns++
	}
	equal(t, turns, 1)
}
