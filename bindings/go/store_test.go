package luatkv_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestAStoreIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "kv.db")
	store := openFile(t, path, &luatkv.Options{Durability: luatkv.DurabilityFull, BusyTimeout: time.Microsecond})
	put(t, namespace(t, store), "k", "v")
	put(t, must(store.Namespace("a\x00é"))(t), "k", "v")
	names := must(store.Namespaces())(t)
	equal(t, strings.Join(names, "|"), "a\x00é|test")
	stats := must(store.Stats())(t)
	equal(t, stats.Path, path)
	equal(t, stats.FileSize > 0, true)
	equal(t, len(stats.Namespaces), 2)
	equal(t, stats.Namespaces[0], luatkv.NamespaceStats{Name: "a\x00é", Live: 1})
	ok(t, store.Compact())
	equal(t, must(store.Checkpoint())(t), true)
	equal(t, must(store.Sweep(10))(t), 0)
	ok(t, store.Close())

	again := openFile(t, path, &luatkv.Options{ReadOnly: true})
	n := namespace(t, again)
	equal(t, n.Name(), "test")
	equal(t, get(t, n, "k"), "v")
	fails(t, n.Put("k", nil, nil), luatkv.ErrReadOnly, "READONLY")
	backup := filepath.Join(filepath.Dir(path), "backup.db")
	ok(t, again.Backup(backup))
	fails(t, again.Backup(backup), luatkv.ErrIO)
	equal(t, get(t, namespace(t, openFile(t, backup, nil)), "k"), "v")
}

func TestAStoreInMemory(t *testing.T) {
	store := openMemory(t)
	put(t, namespace(t, store), "k", "v")
	stats := must(store.Stats())(t)
	equal(t, stats.Path, "memory")
	equal(t, stats.FileSize, 0)
	fails(t, store.Backup(filepath.Join(t.TempDir(), "copy.db")), luatkv.ErrInvalid)
	_, err := luatkv.OpenMemory(&luatkv.Options{ReadOnly: true})
	fails(t, err, luatkv.ErrInvalid)
}

func TestAURLChoosesTheStore(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a b.db")
	for _, url := range []string{"file://" + folder + "/a%20b.db", "file:" + path, path} {
		store := openFile(t, url, nil)
		equal(t, must(store.Stats())(t).Path, path)
		_, err := namespace(t, store).Incr("opened", 1, nil)
		ok(t, err)
		ok(t, store.Close())
	}
	equal(t, get(t, namespace(t, openFile(t, path, nil)), "opened"), "3")
	memory := openFile(t, "memory:", nil)
	put(t, namespace(t, memory), "k", "v")
	equal(t, must(memory.Stats())(t).Path, "memory")
	for url, words := range map[string]string{
		"mysql://host/database":                      "it can be postgresql:, postgres:, file: or memory:",
		"file:kv.db?mode=ro":                         "no query",
		"postgresql:host":                            "is postgresql://",
		"postgresql://user:secret@secret@host":       "%40",
		"postgresql://user:secret\x00@host/database": "NUL",
	} {
		_, err := luatkv.Open(url, nil)
		fails(t, err, luatkv.ErrInvalid, words)
		equal(t, strings.Contains(err.Error(), "secret"), false)
	}
	_, err := luatkv.Open("postgresql://user:secret@localhost:1/database", nil)
	equal(t, err != nil && !strings.Contains(err.Error(), "secret"), true)
	for words, options := range map[string]luatkv.Options{
		"the server decides": {Durability: luatkv.DurabilityFull}, "cache_size is 1": {CacheSize: 1},
	} {
		_, err := luatkv.Open("postgresql://user@localhost:1/database", &options)
		fails(t, err, luatkv.ErrInvalid, words)
	}
}

func TestTheProjectsStore(t *testing.T) {
	root := t.TempDir()
	inner := filepath.Join(root, "src", "pages")
	ok(t, os.MkdirAll(inner, 0o700))
	toml := filepath.Join(root, "luat.toml")
	ok(t, os.WriteFile(toml, []byte("[routing]\ndata_dir = \"data\"\n"), 0o600))
	store := must(luatkv.OpenProject(inner, nil))(t)
	equal(t, must(store.Stats())(t).Path, filepath.Join(root, "data", "kv.db"))
	ok(t, store.Close())

	working := must(os.Getwd())(t)
	ok(t, os.Chdir(inner))
	defer os.Chdir(working)
	store = must(luatkv.OpenProject("", nil))(t)
	equal(t, must(store.Stats())(t).Path, filepath.Join(root, "data", "kv.db"))
	ok(t, store.Close())

	ok(t, os.WriteFile(toml, []byte("\n= wrong"), 0o600))
	_, err := luatkv.OpenProject(inner, nil)
	fails(t, err, luatkv.ErrInvalid, "luat.toml", "2")
	_, err = luatkv.OpenProject("a\x00b", nil)
	fails(t, err, luatkv.ErrInvalid, "NUL")
}

func TestStoresThatDoNotOpen(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "kv.db")
	garbage := filepath.Join(folder, "garbage")
	ok(t, os.WriteFile(garbage, []byte(strings.Repeat("no database", 1000)), 0o600))
	for _, c := range []struct {
		path    string
		options luatkv.Options
		want    luatkv.Status
		code    string
	}{
		{"", luatkv.Options{}, luatkv.ErrInvalid, "INVALID"},
		{":memory:", luatkv.Options{}, luatkv.ErrInvalid, "INVALID"},
		{path + "\x00.db", luatkv.Options{}, luatkv.ErrInvalid, "INVALID"},
		{folder, luatkv.Options{}, luatkv.ErrIO, "IO"},
		{path, luatkv.Options{ReadOnly: true}, luatkv.ErrIO, "IO"},
		{garbage, luatkv.Options{}, luatkv.ErrCorrupt, "CORRUPT"},
		{path, luatkv.Options{BusyTimeout: -1}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{BusyTimeout: math.MaxInt64}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{BusyTimeout: (1<<32-1)*time.Millisecond + 1}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{CacheSize: -1}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{CacheSize: math.MinInt64}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{CacheSize: math.MaxInt64}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{Limits: 2}, luatkv.ErrInvalid, "INVALID"},
		{path, luatkv.Options{Durability: math.MaxUint32}, luatkv.ErrInvalid, "INVALID"},
	} {
		store, err := luatkv.Open(c.path, &c.options)
		equal(t, store, nil)
		fails(t, err, c.want, c.code)
		var detail *luatkv.Error
		if !errors.As(err, &detail) || detail.Status != c.want || detail.Code() != c.code || detail.Message == "" {
			t.Fatalf("%#v", err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a store that did not open left a file")
	}
	_, err := luatkv.Open(path, &luatkv.Options{ReadOnly: true})
	equal(t, errors.Is(err, syscall.ENOENT) && errors.Is(err, fs.ErrNotExist), true)
	_, err = luatkv.Open("", nil)
	equal(t, errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.Errno(0)), false)
	store := openFile(t, path, &luatkv.Options{BusyTimeout: (1<<32 - 1) * time.Millisecond})
	_, err = store.Sweep(-1)
	fails(t, err, luatkv.ErrInvalid)
}

func TestTheCache(t *testing.T) {
	for _, options := range []*luatkv.Options{nil, {CacheSize: 1 << 20}, {NoCache: true}, {CacheSize: 1 << 20, NoCache: true}} {
		store := openFile(t, filepath.Join(t.TempDir(), "kv.db"), options)
		n := namespace(t, store)
		put(t, n, "k", "v")
		for i := 0; i < 10; i++ {
			equal(t, get(t, n, "k"), "v")
		}
		cache := must(store.Stats())(t).Cache
		// A key is added when it is read for the second time.
		hits, misses, cached := int64(8), int64(2), true
		if options != nil && options.NoCache {
			hits, misses, cached = 0, 0, false
		}
		equal(t, cache.Hits, hits)
		equal(t, cache.Misses, misses)
		equal(t, cache.Size > 0, cached)
		equal(t, cache.Size < 1<<20, true)
		equal(t, cache.Drops >= 0, true)
		put(t, n, "k", "new")
		equal(t, get(t, n, "k"), "new")
	}
	path := filepath.Join(t.TempDir(), "kv.db")
	_, err := luatkv.Open(path, &luatkv.Options{CacheSize: -1})
	fails(t, err, luatkv.ErrInvalid, "CacheSize is -1")
	_, err = luatkv.Open(path, &luatkv.Options{CacheSize: 1 << 60})
	fails(t, err, luatkv.ErrInvalid, "cache_size is 1152921504606846976 bytes, more than the memory")
	equal(t, must(openMemory(t).Stats())(t).Cache, luatkv.CacheStats{})
}

func TestCloudflaresLimits(t *testing.T) {
	store := must(luatkv.OpenMemory(&luatkv.Options{Limits: luatkv.LimitsCloudflare}))(t)
	defer store.Close()
	n := namespace(t, store)
	fails(t, n.Put(strings.Repeat("k", 513), nil, nil), luatkv.ErrLimit, "LIMIT")
	fails(t, n.Put("k", make([]byte, 25<<20+1), nil), luatkv.ErrLimit)
	fails(t, n.Put("k", nil, &luatkv.PutOptions{TTL: time.Second}), luatkv.ErrLimit)
	ok(t, n.Put("k", make([]byte, 25<<20), &luatkv.PutOptions{TTL: time.Minute}))
}

// The sqlite3 shell locks the database until its input is closed.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	waiter := openFile(t, path, &luatkv.Options{NoWait: true})
	patient := openFile(t, path, &luatkv.Options{BusyTimeout: 20 * time.Millisecond})
	n := namespace(t, waiter)
	shell := exec.Command("sqlite3", path)
	input, output := must(shell.StdinPipe())(t), must(shell.StdoutPipe())(t)
	ok(t, shell.Start())
	must(io.WriteString(input, "BEGIN IMMEDIATE; SELECT 'locked';\n"))(t)
	must(output.Read(make([]byte, 1)))(t)
	err := n.Put("k", nil, nil)
	fails(t, err, luatkv.ErrBusy, "BUSY")
	batch := waiter.Batch().Put(n, "from the batch", nil, nil)
	_, err = batch.Commit()
	fails(t, err, luatkv.ErrBusy)
	begin := time.Now()
	fails(t, namespace(t, patient).Put("k", nil, nil), luatkv.ErrBusy)
	equal(t, time.Since(begin) >= 20*time.Millisecond, true)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	put := func() error { return n.Put("retried", nil, nil) }
	fails(t, luatkv.Retry(ctx, put), context.DeadlineExceeded, "BUSY")
	retried := make(chan error)
	go func() { retried <- luatkv.Retry(context.Background(), put) }()
	ok(t, input.Close())
	must(io.ReadAll(output))(t)
	ok(t, shell.Wait())
	ok(t, <-retried)
	must(batch.Commit())(t)
	equal(t, must(n.Has("retried"))(t), true)
	equal(t, get(t, n, "from the batch"), "")
}

func TestAClosedStore(t *testing.T) {
	for _, store := range []*luatkv.Store{openMemory(t), openFile(t, filepath.Join(t.TempDir(), "kv.db"), nil)} {
		n, batch := namespace(t, store), store.Batch()
		batch.Put(n, "k", nil, nil)
		keys := n.Iterate(nil)
		ok(t, store.Close())
		ok(t, store.Close())
		checkClosed(t, store, n)
		_, err := batch.Commit()
		fails(t, err, luatkv.ErrClosed)
		_, err = batch.Delete(n, "k").Commit()
		fails(t, err, luatkv.ErrClosed)
		equal(t, keys.Next(), false)
		fails(t, keys.Err(), luatkv.ErrClosed)
	}
}

// The zero values of handles behave like closed ones.
func TestZeroValues(t *testing.T) {
	checkClosed(t, nil, nil)
	checkClosed(t, &luatkv.Store{}, &luatkv.Namespace{})
	store := openMemory(t)
	var batch luatkv.Batch
	_, err := batch.Commit()
	fails(t, err, luatkv.ErrClosed)
	_, err = store.Batch().Put(nil, "k", nil, nil).Commit()
	fails(t, err, luatkv.ErrClosed)
	_, err = store.Batch().Put(&luatkv.Namespace{}, "k", nil, nil).Commit()
	fails(t, err, luatkv.ErrClosed)
	equal(t, (&luatkv.Iterator{}).Next(), false)
	ok(t, (*luatkv.Store)(nil).Close())
	ok(t, (&luatkv.Store{}).Close())
}

func checkClosed(t *testing.T, s *luatkv.Store, n *luatkv.Namespace) {
	t.Helper()
	second := func(_ any, err error) error { return err }
	for i, err := range []error{
		second(s.Namespace("x")), second(s.Namespaces()), second(s.Stats()), second(s.Sweep(0)), s.Compact(),
		second(s.Checkpoint()), s.Backup("x"), second(s.Batch().Commit()),
		second(n.Get("k")), second(n.GetEntry("k")), second(n.GetMany("k")), n.Put("k", nil, nil), n.Add("k", nil, nil),
		n.Touch("k", nil), second(n.Incr("k", 1, nil)), n.Delete("k"), second(n.List(nil)), second(n.Count("")),
		second(n.Has("k")), second(n.Remove("k")), second(n.Take("k")), second(n.PutVersioned("k", nil, nil)),
		second(n.AddVersioned("k", nil, nil)), second(n.DeletePrefix("k")), second(n.Clear()), second(n.Export("x", luatkv.FormatJSON)),
		second(n.ExportTo(os.Stdout, luatkv.FormatJSON)), second(n.Import("x", nil)),
		second(n.ImportFrom(strings.NewReader(""), nil)),
	} {
		if !errors.Is(err, luatkv.ErrClosed) || !errors.Is(err, luatkv.ErrInvalid) {
			t.Fatalf("call %d came to %v", i, err)
		}
	}
}

func TestStatuses(t *testing.T) {
	for status, code := range map[luatkv.Status]string{
		luatkv.ErrNotFound: "NOT_FOUND", luatkv.ErrConflict: "CONFLICT", luatkv.ErrInvalid: "INVALID", luatkv.ErrIO: "IO",
		luatkv.ErrBusy: "BUSY", luatkv.ErrCorrupt: "CORRUPT", luatkv.ErrReadOnly: "READONLY", luatkv.ErrLimit: "LIMIT",
		luatkv.ErrNoMemory: "NOMEM", luatkv.ErrPanic: "PANIC", luatkv.ErrInternal: "INTERNAL", -99: "UNKNOWN",
	} {
		equal(t, status.Code(), code)
		err := error(&luatkv.Error{Status: status, Message: "why"})
		equal(t, err.Error(), "luatkv: "+code+": why")
		equal(t, errors.Is(err, status), true)
		equal(t, errors.Is(err, luatkv.Status(77)), false)
		equal(t, strings.HasPrefix(status.Error(), "luatkv: "+code), true)
	}
}
