package luatkv_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

// together runs a function in several goroutines at once.
func together(count int, run func(i int)) {
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			defer all.Done()
			run(i)
		}(i)
	}
	all.Wait()
}

func TestGoroutinesCountTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		together(8, func(int) {
			mine, err := store.Namespace("test")
			for i := 0; i < 200 && err == nil; i++ {
				_, err = mine.Incr("n", 1, nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
		equal(t, get(t, n, "n"), "1600")
	})
}

// Two stores on one file, and a batch that is retried if another goroutine was faster.
func TestGoroutinesContend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	stores := []*luatkv.Store{openFile(t, path, nil), openFile(t, path, nil)}
	var conflicts atomic.Int64
	together(6, func(i int) {
		store := stores[i%2]
		n, err := store.Namespace("test")
		for done := 0; done < 50 && err == nil; {
			entry, missing := n.GetEntry("n")
			if missing != nil && missing != luatkv.ErrNotFound {
				err = missing
				break
			}
			time.Sleep(100 * time.Microsecond) // time for the others
			count, _ := strconv.Atoi(string(entry.Value))
			batch := store.Batch().Check(n, "n", entry.Version).Put(n, "n", []byte(strconv.Itoa(count+1)), nil)
			if _, err = batch.Commit(); err == luatkv.ErrConflict {
				err = nil
				conflicts.Add(1)
			} else {
				done++
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	equal(t, get(t, namespace(t, stores[0]), "n"), "300")
	if conflicts.Load() == 0 {
		t.Fatal("nobody was ever faster")
	}
}

// Close does not free a handle during a call, and later calls return ErrClosed.
func TestClosingBeneathCalls(t *testing.T) {
	for round := 0; round < 20; round++ {
		store := must(luatkv.Open(filepath.Join(t.TempDir(), "kv.db"), nil))(t)
		n := namespace(t, store)
		put(t, n, "k", "v")
		var calls atomic.Int64
		together(6, func(i int) {
			if i < 2 { // two at once
				for calls.Load() < 50 {
					runtime.Gosched()
				}
				store.Close()
				return
			}
			var err error
			for ; err == nil; calls.Add(1) {
				switch i {
				case 2:
					_, err = n.Get("k")
				case 3:
					err = n.Put(fmt.Sprint(calls.Load()), []byte("x"), nil)
				case 4:
					_, err = n.List(&luatkv.ListOptions{Values: true})
				case 5:
					var mine *luatkv.Namespace
					if mine, err = store.Namespace("test"); err == nil {
						_, err = store.Batch().Put(mine, "b", nil, nil).Commit()
					}
				}
			}
			if !errors.Is(err, luatkv.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

// Handles that are collected in any order, while others use the store.
func TestForgottenHandles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	together(4, func(i int) {
		for round := 0; round < 25; round++ {
			store, err := luatkv.Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for j := 0; j < 20; j++ {
				n, err := store.Namespace(fmt.Sprint("n", j))
				if err == nil {
					store.Batch().Put(n, "forgotten", nil, nil)
					_, err = n.Watcher(nil)
				}
				if err == nil {
					err = n.Put("k", []byte{byte(j)}, nil)
				}
				if err != nil {
					t.Error(err)
				}
			}
			if round%2 == 0 {
				store.Close()
			}
			runtime.GC()
		}
	})
	// A collected store is closed in the end: then no process has the file open, and SQLite removes the log beside it.
	for tries := 0; len(must(filepath.Glob(path+"-wal"))(t)) > 0; tries++ {
		if tries == 500 {
			t.Fatal("a forgotten store is still open")
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}
