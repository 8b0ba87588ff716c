package luatkv_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestBatchesAreAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		other := must(store.Namespace("other"))(t)
		put(t, n, "old", "x")
		value := []byte("first")
		batch := store.Batch().Put(n, "a\x00b", value, &luatkv.PutOptions{TTL: time.Hour, Metadata: json.RawMessage(`[1]`)})
		copy(value, "xxxxx") // it was copied
		batch.Put(other, "a\x00b", nil, nil).Delete(n, "old").Delete(n, "missing")
		batch.Incr(n, "n", 2, &luatkv.IncrOptions{Initial: 10}).Incr(n, "n", 3, nil)
		_, err := n.Get("n") // not before the commit
		fails(t, err, luatkv.ErrNotFound)
		version := must(batch.Commit())(t)
		entry := must(n.GetEntry("a\x00b"))(t)
		equal(t, string(entry.Value), "first")
		equal(t, string(entry.Metadata), "[1]")
		equal(t, entry.Expiration.IsZero(), false)
		equal(t, entry.Version, version)
		equal(t, get(t, other, "a\x00b"), "")
		equal(t, get(t, n, "n"), "15")
		_, err = n.Get("old")
		fails(t, err, luatkv.ErrNotFound)

		for i := 0; i < 2; i++ {
			_, err = batch.Put(n, "late", nil, nil).Commit()
			fails(t, err, luatkv.ErrInvalid, "committed before")
		}
	})
}

func TestBatchesHaveConditions(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		none, err := n.GetEntry("apples")
		fails(t, err, luatkv.ErrNotFound)
		must(store.Batch().Check(n, "apples", none.Version).Put(n, "apples", []byte("3"), nil).Commit())(t)
		batch := store.Batch().Check(n, "apples", "").Put(n, "apples", []byte("9"), nil)
		if version, err := batch.Commit(); version != "" || err != luatkv.ErrConflict {
			t.Fatalf("got %q, %v", version, err)
		}
		_, err = batch.Commit()
		fails(t, err, luatkv.ErrInvalid)
		equal(t, get(t, n, "apples"), "3")
		apples := must(n.GetEntry("apples"))(t)
		must(store.Batch().Check(n, "apples", apples.Version).Put(n, "apples", []byte("2"), nil).Commit())(t)
		_, err = store.Batch().Check(n, "apples", apples.Version).Delete(n, "apples").Commit()
		fails(t, err, luatkv.ErrConflict, "CONFLICT")
	})
}

func TestBatchesKeepTheirFirstError(t *testing.T) {
	store := openMemory(t)
	n, stranger := namespace(t, store), memory(t)
	for _, batch := range []*luatkv.Batch{
		store.Batch().Put(n, "good", nil, nil).Put(n, "", nil, nil).Put(n, "good", nil, nil),
		store.Batch().Put(n, "good", nil, nil).Check(n, "k", "no version"),
		store.Batch().Put(n, "good", nil, nil).Put(stranger, "k", nil, nil),
		store.Batch().Put(n, "good", nil, nil).Delete(n, "\xff"),
		store.Batch().Put(n, "good", nil, nil).Incr(n, "k", 1, &luatkv.IncrOptions{Expiration: time.Unix(1, 0)}),
	} {
		_, err := batch.Commit()
		fails(t, err, luatkv.ErrInvalid)
		_, again := batch.Commit()
		equal(t, again == err, true)
	}
	put(t, n, "text", "x")
	batch := store.Batch().Put(n, "good", nil, nil).Incr(n, "text", 1, nil)
	_, err := batch.Commit()
	fails(t, err, luatkv.ErrInvalid)
	equal(t, must(n.Count("good"))(t), 0)
	put(t, n, "text", "1") // after an error of Commit itself, the batch can be committed again
	must(batch.Commit())(t)
	equal(t, get(t, n, "text"), "2")
}

func TestOneBatchOfManyGoroutines(t *testing.T) {
	store := openFile(t, filepath.Join(t.TempDir(), "kv.db"), nil)
	n, batch := namespace(t, store), store.Batch()
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for j := 0; j < 100; j++ {
				batch.Put(n, fmt.Sprint(i, ":", j), nil, nil)
			}
		}(i)
	}
	all.Wait()
	must(batch.Commit())(t)
	equal(t, must(n.Count(""))(t), 800)
}
