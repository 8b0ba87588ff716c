//go:build go1.23

package luatkv_test

import (
	"fmt"
	"testing"

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
