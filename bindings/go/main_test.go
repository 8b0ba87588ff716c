package luatkv_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

// The functions that tests run in another process: this program, with the function's name in its environment.
var children = map[string]func() error{
	"abi":    func() error { _, err := luatkv.OpenMemory(nil); return err },
	"exit":   leaveOpen,
	"panic":  panicInside,
	"counts": countInChild,
	"memory": growInChild,
	"puts":   putInChild,
}

func TestMain(m *testing.M) {
	name := os.Getenv("LUATKV_TEST_CHILD")
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// child returns the output of a child, and its exit status.
func child(t *testing.T, name string, env ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "LUATKV_TEST_CHILD="+name), env...)
	timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output), cmd.ProcessState.ExitCode()
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %#v, want %#v", got, want)
	}
}

// fails checks that an error is the expected one, and that its message contains some words.
func fails(t testing.TB, err error, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("%q is not in %q", word, err)
		}
	}
}

func openMemory(t testing.TB) *luatkv.Store {
	t.Helper()
	store := must(luatkv.OpenMemory(nil))(t)
	t.Cleanup(func() { store.Close() })
	return store
}

func openFile(t testing.TB, path string, options *luatkv.Options) *luatkv.Store {
	t.Helper()
	store := must(luatkv.Open(path, options))(t)
	t.Cleanup(func() { store.Close() })
	return store
}

func namespace(t testing.TB, store *luatkv.Store) *luatkv.Namespace {
	t.Helper()
	return must(store.Namespace("test"))(t)
}

func memory(t testing.TB) *luatkv.Namespace {
	t.Helper()
	return namespace(t, openMemory(t))
}

// onBoth runs a test in memory and on disk, or with a server in LUAT_KV_TEST_POSTGRES on a new database of it.
func onBoth(t *testing.T, test func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace)) {
	if os.Getenv("LUAT_KV_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) {
			url := must(exec.Command("../../tests/postgres/database").Output())(t)
			store := openFile(t, strings.TrimSpace(string(url)), nil)
			test(t, store, namespace(t, store))
		})
		return
	}
	t.Run("memory", func(t *testing.T) {
		store := openMemory(t)
		test(t, store, namespace(t, store))
	})
	t.Run("disk", func(t *testing.T) {
		store := openFile(t, filepath.Join(t.TempDir(), "kv.db"), nil)
		test(t, store, namespace(t, store))
	})
}

func put(t testing.TB, n *luatkv.Namespace, key, value string) {
	t.Helper()
	ok(t, n.Put(key, []byte(value), nil))
}

func get(t testing.TB, n *luatkv.Namespace, key string) string {
	t.Helper()
	return string(must(n.Get(key))(t))
}
