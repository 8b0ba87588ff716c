package luatkv

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// A loop that ends at its first key has read only a few, and a long loop reads large pages.
func TestIteratorsBeginWithASmallPage(t *testing.T) {
	store, err := OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n, err := store.Namespace("test")
	for i := 0; i < 3000 && err == nil; i++ {
		err = n.Put(fmt.Sprintf("k%04d", i), nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := n.Iterate(nil)
	if !keys.Next() || len(keys.entries) > 10 {
		t.Fatalf("the first page has %d more keys", len(keys.entries))
	}
	count, pages, largest := 1, 1, 0
	for left := len(keys.entries); keys.Next(); count++ {
		if left == 0 {
			pages++
			left = len(keys.entries) + 1
		}
		if left--; left > largest {
			largest = left
		}
	}
	if keys.Err() != nil || count != 3000 || pages > 8 || largest != 999 {
		t.Fatalf("%d keys in %d pages, the largest of %d: %v", count, pages, largest+1, keys.Err())
	}
	limited := n.Iterate(&ListOptions{Limit: 7})
	if !limited.Next() || len(limited.entries) != 6 {
		t.Fatalf("a page of %d", len(limited.entries)+1)
	}
}

// As on systems that have no descriptor for a watch, and where there are none left.
func TestAWatcherWithoutADescriptor(t *testing.T) {
	store, err := OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n, err := store.Namespace("test")
	if err != nil {
		t.Fatal(err)
	}
	w, err := n.Watcher(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close()
	w.file = nil
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if changes, err := w.Next(ctx); err != context.DeadlineExceeded {
		t.Fatal(changes, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { n.Put("key", nil, nil) })
	if changes, err := w.Next(context.Background()); err != nil || len(changes) != 1 || changes[0].Key != "key" {
		t.Fatal(changes, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { w.Close() })
	if changes, err := w.Next(context.Background()); !errors.Is(err, ErrInvalid) {
		t.Fatal(changes, err)
	}
}
