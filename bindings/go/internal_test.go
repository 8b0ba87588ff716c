package luatkv

import (
	"fmt"
	"testing"
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
