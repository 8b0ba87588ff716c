package luatkv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

// With a server, bindings/go/test runs only the tests that call onBoth by this name. To hear of a change from a server
// takes a quarter of a second, and these wait for hundreds.
var onWatchable = onBoth

func watcher(t testing.TB, n *luatkv.Namespace, options *luatkv.WatchOptions) *luatkv.Watcher {
	t.Helper()
	w := must(n.Watcher(options))(t)
	t.Cleanup(func() { w.Close() })
	return w
}

// told returns changes as text: +key=value for a put, -key for a removal, !key for an expiry.
func told(changes []luatkv.Change) string {
	words := make([]string, len(changes))
	for i, change := range changes {
		switch {
		case change.Type == luatkv.ChangePut && change.Value == nil:
			words[i] = "+" + change.Key
		case change.Type == luatkv.ChangePut:
			words[i] = "+" + change.Key + "=" + string(change.Value)
		case change.Expired:
			words[i] = "!" + change.Key
		case change.Type == luatkv.ChangeDelete:
			words[i] = "-" + change.Key
		}
	}
	return strings.Join(words, " ")
}

// within returns a context that is far longer than a test takes.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAWatcherReportsEachChangeOnce(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		put(t, n, "before", "1")
		all, values := watcher(t, n, nil), watcher(t, n, &luatkv.WatchOptions{Values: true})
		equal(t, told(must(all.Poll())(t)), "")
		options := &luatkv.PutOptions{TTL: time.Hour, Metadata: json.RawMessage(`{"a":1}`)}
		version := must(n.PutVersioned("key", []byte("value"), options))(t)
		changes := must(values.Next(within(t)))(t)
		equal(t, told(changes), "+key=value")
		entry := must(n.GetEntry("key"))(t)
		equal(t, fmt.Sprint(changes[0].Entry), fmt.Sprint(entry))
		equal(t, changes[0].Version, version)
		changes = must(all.Next(within(t)))(t)
		equal(t, told(changes), "+key")
		equal(t, string(changes[0].Metadata), `{"a":1}`)
		equal(t, changes[0].Expiration, entry.Expiration)

		put(t, n, "a", "1")
		put(t, n, "a", "")
		ok(t, n.Delete("before"))
		ok(t, n.Delete("missing"))
		changes = must(values.Next(within(t)))(t)
		equal(t, told(changes), "+a= -before")
		equal(t, fmt.Sprint(changes[1].Entry), fmt.Sprint(luatkv.Entry{Key: "before"}))
		equal(t, told(must(all.Poll())(t)), "+a -before")
		equal(t, told(must(all.Poll())(t))+told(must(values.Poll())(t)), "")
	})
}

func TestWhatIsNotWatchedIsNotReported(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		keys := watcher(t, n, &luatkv.WatchOptions{Keys: []string{"b", "a", "missing", "a"}})
		prefix := watcher(t, n, &luatkv.WatchOptions{Prefix: "user:"})
		for _, key := range []string{"a", "aa", "b", "user", "user:1", "user:2", "user;"} {
			put(t, n, key, "")
		}
		put(t, must(store.Namespace("other"))(t), "user:3", "")
		equal(t, told(must(keys.Next(within(t)))(t)), "+a +b")
		equal(t, told(must(prefix.Next(within(t)))(t)), "+user:1 +user:2")
		put(t, n, "missing", "")
		ok(t, n.Delete("user:1"))
		equal(t, told(must(keys.Next(within(t)))(t)), "+missing")
		equal(t, told(must(prefix.Next(within(t)))(t)), "-user:1")
	})
}

func TestAWatcherCanBeginWithWhatIsThere(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		put(t, n, "a", "1")
		put(t, n, "b", "2")
		all := watcher(t, n, &luatkv.WatchOptions{Existing: true})
		values := watcher(t, n, &luatkv.WatchOptions{Existing: true, Values: true})
		ok(t, n.Delete("a"))
		put(t, n, "c", "3")
		equal(t, told(must(values.Next(within(t)))(t)), "+b=2 +c=3")
		equal(t, told(must(all.Next(within(t)))(t)), "+b +c")
		equal(t, told(must(all.Poll())(t))+told(must(values.Poll())(t)), "")
		ok(t, n.Delete("c"))
		equal(t, told(must(values.Next(within(t)))(t)), "-c")
		equal(t, told(must(all.Next(within(t)))(t)), "-c")
	})
}

func TestWhatOneBatchChangesComesTogether(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		const last = 300
		w := watcher(t, n, &luatkv.WatchOptions{Values: true})
		go func() {
			for i := 0; i <= last; i++ {
				value := []byte(fmt.Sprint(i))
				if _, err := store.Batch().Put(n, "a", value, nil).Put(n, "b", value, nil).Commit(); err != nil {
					t.Error(err)
				}
			}
		}()
		for value := ""; value != fmt.Sprint(last); {
			changes := must(w.Next(within(t)))(t)
			value = string(changes[0].Value)
			equal(t, told(changes), fmt.Sprintf("+a=%s +b=%s", value, value))
		}
	})
}

func TestAnExpiryIsToldFromARemoval(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for _, key := range []string{"deleted", "gone"} {
			ok(t, n.Put(key, nil, &luatkv.PutOptions{TTL: time.Second}))
		}
		w := watcher(t, n, nil)
		ok(t, n.Delete("deleted"))
		equal(t, told(must(w.Next(within(t)))(t)), "-deleted")
		for must(n.Has("gone"))(t) {
			time.Sleep(10 * time.Millisecond)
		}
		put(t, must(store.Namespace("other"))(t), "key", "")
		equal(t, told(must(w.Next(within(t)))(t)), "!gone")
	})
}

// ---- Tokens

func token(t testing.TB, w *luatkv.Watcher) string {
	t.Helper()
	return must(w.Token())(t)
}

// since returns what a watcher that goes on from a token reports first.
func since(t testing.TB, n *luatkv.Namespace, token string) string {
	t.Helper()
	w := must(n.Watcher(&luatkv.WatchOptions{Since: token}))(t)
	defer w.Close()
	return told(must(w.Poll())(t))
}

func TestAWatcherGoesOnFromAToken(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for _, key := range []string{"a", "b", "c"} {
			put(t, n, key, "1")
		}
		w := watcher(t, n, nil)
		first := token(t, w)
		equal(t, since(t, n, first), "")
		ok(t, n.Delete("a"))
		put(t, n, "b", "2")
		put(t, n, "d", "1")
		equal(t, since(t, n, first), "-a +b +d")
		equal(t, token(t, w), first)
		equal(t, told(must(w.Poll())(t)), "-a +b +d")
		later := token(t, w)
		equal(t, since(t, n, later), "")
		ok(t, n.Delete("c"))
		equal(t, since(t, n, later), "-c")
		equal(t, since(t, n, first), "-a +b -c +d")
		again := watcher(t, n, &luatkv.WatchOptions{Since: later, Values: true})
		equal(t, token(t, again), later)
		put(t, n, "b", "3")
		equal(t, told(must(again.Next(within(t)))(t)), "+b=3 -c")
	})
}

func TestATokenOutlivesItsStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	store := openFile(t, path, nil)
	n := namespace(t, store)
	put(t, n, "a", "1")
	w, closed := watcher(t, n, nil), watcher(t, n, nil)
	put(t, n, "b", "1")
	equal(t, told(must(w.Poll())(t)), "+b")
	ok(t, n.Delete("a"))
	ok(t, closed.Close())
	_, err := closed.Token()
	fails(t, err, luatkv.ErrInvalid, "the watcher is closed")
	ok(t, store.Close())
	last := token(t, w)
	equal(t, token(t, w), last)
	_, err = closed.Token()
	fails(t, err, luatkv.ErrInvalid, "the watcher is closed")
	ok(t, w.Close())
	_, err = w.Token()
	fails(t, err, luatkv.ErrInvalid, "the watcher is closed")
	n = namespace(t, openFile(t, path, nil))
	put(t, n, "c", "1")
	equal(t, since(t, n, last), "-a +c")
	_, err = (*luatkv.Watcher)(nil).Token()
	fails(t, err, luatkv.ErrClosed)
}

// ---- Waiting

// next starts a call of Next, and returns a function that waits for its result.
func next(ctx context.Context, w *luatkv.Watcher) (result func() (string, error)) {
	var changes []luatkv.Change
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		changes, err = w.Next(ctx)
	}()
	return func() (string, error) {
		<-ended
		return told(changes), err
	}
}

// waiting does the same, and gives it time to wait.
func waiting(ctx context.Context, w *luatkv.Watcher) (result func() (string, error)) {
	result = next(ctx, w)
	time.Sleep(20 * time.Millisecond)
	return result
}

func TestAWatcherWaitsForTheChange(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		w := watcher(t, n, &luatkv.WatchOptions{Prefix: "k"})
		for i := 0; i < 50; i++ {
			var delay time.Duration
			if i < 5 {
				delay = 20 * time.Millisecond
			}
			result := next(context.Background(), w)
			time.Sleep(delay)
			put(t, n, "other", "")
			time.Sleep(delay)
			put(t, n, "key", "")
			changes, err := result()
			ok(t, err)
			equal(t, changes, "+key")
		}
	})
}

func TestAContextEndsAWait(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		w := watcher(t, n, nil)
		short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := w.Next(short)
		fails(t, err, context.DeadlineExceeded)
		ctx, cancel := context.WithCancel(context.Background())
		result := waiting(ctx, w)
		cancel()
		_, err = result()
		fails(t, err, context.Canceled)
		put(t, n, "key", "") // is not lost
		_, err = w.Next(ctx)
		fails(t, err, context.Canceled)
		equal(t, told(must(w.Next(within(t)))(t)), "+key")
		for i := 0; i < 100; i++ { // neither is what comes with the end of the context
			ctx, cancel := context.WithCancel(context.Background())
			go cancel()
			key := fmt.Sprint(i)
			go n.Put(key, nil, nil)
			changes, err := w.Next(ctx)
			if err != nil {
				changes, err = w.Next(within(t))
			}
			ok(t, err)
			equal(t, told(changes), "+"+key)
		}
	})
}

func TestCloseEndsAWait(t *testing.T) {
	for round := 0; round < 20; round++ {
		store := must(luatkv.Open(filepath.Join(t.TempDir(), "kv.db"), nil))(t)
		n := namespace(t, store)
		first, second := watcher(t, n, nil), watcher(t, n, nil)
		firstResult, secondResult := waiting(context.Background(), first), waiting(context.Background(), second)
		together(2, func(int) { first.Close() })
		_, err := firstResult()
		fails(t, err, luatkv.ErrInvalid, "the watcher is closed")
		_, err = first.Poll()
		fails(t, err, luatkv.ErrInvalid, "the watcher is closed")
		together(2, func(i int) {
			if i == 0 {
				store.Close()
			} else {
				second.Close()
			}
		})
		_, err = secondResult()
		fails(t, err, luatkv.ErrInvalid, "closed")
	}
	store := openMemory(t)
	w := watcher(t, namespace(t, store), nil)
	result := waiting(context.Background(), w)
	ok(t, store.Close())
	_, err := result()
	fails(t, err, luatkv.ErrClosed)
	_, err = w.Poll()
	fails(t, err, luatkv.ErrClosed)
	ok(t, w.Close())
	_, err = (*luatkv.Watcher)(nil).Next(context.Background())
	fails(t, err, luatkv.ErrClosed)
}

func TestOneGoroutineWaitsWithAWatcher(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		w := watcher(t, n, nil)
		result := waiting(within(t), w)
		_, err := w.Poll()
		fails(t, err, luatkv.ErrInvalid, "another goroutine")
		_, err = w.Token()
		fails(t, err, luatkv.ErrInvalid, "another goroutine")
		put(t, n, "key", "")
		changes, err := result()
		ok(t, err)
		equal(t, changes, "+key")
	})
}

func TestATokenCanBeHadBesideAGoroutineThatWaits(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for i := 0; i < 1000; i++ {
			put(t, n, fmt.Sprint(i), "")
		}
		w := watcher(t, n, nil)
		over, ended := make(chan struct{}), make(chan error, 2)
		for i := 0; i < cap(ended); i++ { // neither must refuse the other
			go func() {
				for {
					select {
					case <-over:
						ended <- nil
						return
					default:
					}
					if _, err := w.Token(); err != nil && !errors.Is(err, luatkv.ErrInvalid) {
						ended <- err
						return
					}
				}
			}()
		}
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			put(t, n, "key", fmt.Sprint(i))
			_, err = w.Next(within(t))
		}
		close(over)
		ok(t, err)
		for i := 0; i < cap(ended); i++ {
			ok(t, <-ended)
		}
	})
}

func TestGoroutinesThatWaitNeedNoThreads(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		results := make([]func() (string, error), 200)
		ctx := within(t)
		for i := range results {
			w := watcher(t, n, &luatkv.WatchOptions{Keys: []string{fmt.Sprint(i)}})
			results[i] = next(ctx, w)
		}
		time.Sleep(50 * time.Millisecond) // most likely all of them wait now
		threads := must(os.ReadDir("/proc/self/task"))(t)
		if len(threads) > 100 {
			t.Errorf("%d threads", len(threads))
		}
		for i, result := range results {
			put(t, n, fmt.Sprint(i), "")
			changes, err := result()
			ok(t, err)
			equal(t, changes, fmt.Sprint("+", i))
		}
	})
}

func TestAWatcherSeesAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	w := watcher(t, namespace(t, openFile(t, path, nil)), &luatkv.WatchOptions{Values: true})
	result := waiting(within(t), w)
	output, exit := child(t, "puts", "LUATKV_TEST_PATH="+path)
	equal(t, fmt.Sprint(output, exit), "0")
	changes, err := result()
	ok(t, err)
	equal(t, changes, "+key=theirs")
}

func putInChild() error {
	store, err := luatkv.Open(os.Getenv("LUATKV_TEST_PATH"), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := store.Namespace("test")
	if err != nil {
		return err
	}
	return n.Put("key", []byte("theirs"), nil)
}

func TestBadWatchOptionsAreErrors(t *testing.T) {
	onWatchable(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		refused := func(options luatkv.WatchOptions, want error, words string) {
			t.Helper()
			w, err := n.Watcher(&options)
			fails(t, err, want, words)
			equal(t, w == nil, true)
		}
		refused(luatkv.WatchOptions{Keys: []string{}}, luatkv.ErrInvalid, "Keys has no key in it")
		refused(luatkv.WatchOptions{Keys: []string{"a", ""}}, luatkv.ErrInvalid, "the key is empty")
		refused(luatkv.WatchOptions{Keys: []string{"\xff"}}, luatkv.ErrInvalid, "UTF-8")
		refused(luatkv.WatchOptions{Keys: []string{"a"}, Prefix: "b"}, luatkv.ErrInvalid, "either keys or a prefix")
		refused(luatkv.WatchOptions{Prefix: strings.Repeat("x", 5000)}, luatkv.ErrLimit, "5000")
		refused(luatkv.WatchOptions{Keys: make([]string, 1001)}, luatkv.ErrLimit, "1001 keys")
		since := token(t, watcher(t, n, nil))
		refused(luatkv.WatchOptions{Since: "x"}, luatkv.ErrInvalid, "the token is malformed")
		refused(luatkv.WatchOptions{Since: since[1:]}, luatkv.ErrInvalid, "the token is malformed")
		refused(luatkv.WatchOptions{Since: since + "\x00"}, luatkv.ErrInvalid, "the token is malformed")
		refused(luatkv.WatchOptions{Since: "\xff"}, luatkv.ErrInvalid, "UTF-8")
		refused(luatkv.WatchOptions{Since: since, Existing: true}, luatkv.ErrInvalid, "either with what exists")
		_, err := must(store.Namespace("other"))(t).Watcher(&luatkv.WatchOptions{Since: since})
		fails(t, err, luatkv.ErrInvalid, `the namespace "test"`)
		ok(t, store.Close())
		refused(luatkv.WatchOptions{}, luatkv.ErrClosed, "")
	})
}
