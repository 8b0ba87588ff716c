package luatkv_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

// ---- Two processes on one file, and handles at exit

func TestTwoProcessesShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	n := namespace(t, openFile(t, path, nil))
	ended := make(chan string)
	go func() {
		output, exit := child(t, "counts", "LUATKV_TEST_PATH="+path)
		ended <- fmt.Sprint(output, exit)
	}()
	for i := 0; i < 500; i++ {
		must(n.Incr("n", 1, nil))(t)
	}
	equal(t, <-ended, "0")
	equal(t, get(t, n, "n"), "1000")
}

func countInChild() error {
	store, err := luatkv.Open(os.Getenv("LUATKV_TEST_PATH"), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := store.Namespace("test")
	for i := 0; i < 500 && err == nil; i++ {
		_, err = n.Incr("n", 1, nil)
	}
	return err
}

func TestHandlesAreLeftOpenAtExit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	output, exit := child(t, "exit", "LUATKV_TEST_PATH="+path)
	equal(t, fmt.Sprint(output, exit), "0")
	equal(t, get(t, namespace(t, openFile(t, path, nil)), "k"), "v")
}

// leaveOpen ends with a store, a batch and calls in progress.
func leaveOpen() error {
	store, err := luatkv.Open(os.Getenv("LUATKV_TEST_PATH"), nil)
	if err != nil {
		return err
	}
	n, err := store.Namespace("test")
	if err != nil {
		return err
	}
	begun := make(chan error, 1)
	for i := 0; i < 4; i++ {
		go func() {
			for {
				err := n.Put("k", []byte("v"), nil)
				select {
				case begun <- err:
				default:
				}
			}
		}()
	}
	store.Batch().Put(n, "forgotten", nil, nil)
	return <-begun
}

// ---- The library that the program finds

// library creates a folder in which the loader finds a library by both of its names.
func library(t *testing.T, path string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"libluat_kv.so.0", "libluat_kv.so"} {
		ok(t, os.Symlink(path, filepath.Join(folder, name)))
	}
	return folder
}

// compile compiles C code to a shared library.
func compile(t *testing.T, source string) string {
	t.Helper()
	folder := t.TempDir()
	file, out := filepath.Join(folder, "library.c"), filepath.Join(folder, "library.so")
	ok(t, os.WriteFile(file, []byte(source), 0o600))
	cc := strings.Fields(string(must(exec.Command("go", "env", "CC").Output())(t)))
	output, err := exec.Command(cc[0], append(cc[1:], "-shared", "-fPIC", "-o", out, file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	return out
}

func TestALibraryOfAnotherABI(t *testing.T) {
	other := compile(t, "unsigned luat_kv_abi_version(void) { return 77; }")
	output, exit := child(t, "abi", "LD_PRELOAD="+other)
	equal(t, exit, 1)
	equal(t, strings.HasPrefix(output, "luatkv: INVALID: libluat_kv at "+other+" has ABI 77, and this package needs "), true)
}

func TestALibraryThatLacksFunctions(t *testing.T) {
	older := compile(t, "unsigned luat_kv_abi_version(void) { return 0; }")
	output, exit := child(t, "abi", "LD_LIBRARY_PATH="+library(t, older))
	if exit != 127 || !strings.Contains(output, "undefined symbol: luat_kv_") {
		t.Fatalf("exit status %d: %s", exit, output)
	}
}

// A file that is not a library represents a missing one: the loader finds it before installed libraries.
func TestALibraryThatCannotBeLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	ok(t, os.WriteFile(file, []byte("no library"), 0o600))
	output, exit := child(t, "abi", "LD_LIBRARY_PATH="+library(t, file))
	if exit != 127 || !strings.Contains(output, "libluat_kv.so.0: ") {
		t.Fatalf("exit status %d: %s", exit, output)
	}
}

func TestAHeaderOfAnotherABI(t *testing.T) {
	folder := t.TempDir()
	header := string(must(os.ReadFile(headerPath(t)))(t))
	changed := strings.Replace(header, "#define LUAT_KV_ABI_VERSION ", "#define LUAT_KV_ABI_VERSION 77", 1)
	ok(t, os.WriteFile(filepath.Join(folder, "luat_kv.h"), []byte(changed), 0o600))
	pc := fmt.Sprintf("Name: luat_kv\nDescription: another\nVersion: 0\nCflags: -I%s\nLibs: -lluat_kv\n", folder)
	ok(t, os.WriteFile(filepath.Join(folder, "luat_kv.pc"), []byte(pc), 0o600))
	build := exec.Command("go", "build", ".")
	build.Env = append(os.Environ(), "PKG_CONFIG_PATH="+folder)
	output, err := build.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "another LUAT_KV_ABI_VERSION") {
		t.Fatalf("%v: %s", err, output)
	}
}

// ---- A panic inside the library, which a debug build can cause

func TestAPanicIsAnError(t *testing.T) {
	hooked := os.Getenv("LUAT_KV_HOOKED_LIBRARY")
	if hooked == "" {
		t.Fatal("set LUAT_KV_HOOKED_LIBRARY to a library that was built with the feature debug-hooks")
	}
	output, exit := child(t, "panic", "LUAT_KV_DEBUG_PANIC_KEY=boom",
		"LD_LIBRARY_PATH="+library(t, must(filepath.Abs(hooked))(t)))
	equal(t, exit, 0)
	equal(t, strings.HasSuffix(output, "both panicked\n"), true)
}

func panicInside() error {
	store, err := luatkv.OpenMemory(nil)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := store.Namespace("test")
	if err != nil {
		return err
	}
	if err := n.Put("boom", nil, nil); !errors.Is(err, luatkv.ErrPanic) {
		return fmt.Errorf("put: %v", err)
	}
	if _, err := n.Get("boom"); !errors.Is(err, luatkv.ErrPanic) {
		return fmt.Errorf("get: %v", err)
	}
	if err := n.Put("k", []byte("v"), nil); err != nil {
		return err
	}
	if value, err := n.Get("k"); err != nil || string(value) != "v" {
		return fmt.Errorf("got %q, %v", value, err)
	}
	fmt.Println("both panicked")
	return nil
}
