package luatkv_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestExportsAreImported(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		ok(t, n.Put("a", []byte("\xff\x00"), &luatkv.PutOptions{Metadata: json.RawMessage(`{"b":1}`)}))
		put(t, n, "b", "text")
		for _, format := range []luatkv.Format{luatkv.FormatJSON, luatkv.FormatJSONLines} {
			path := filepath.Join(t.TempDir(), "export")
			equal(t, must(n.Export(path, format))(t), 2)
			var written bytes.Buffer
			equal(t, must(n.ExportTo(&written, format))(t), 2)
			equal(t, written.String(), string(must(os.ReadFile(path))(t)))

			copied := must(store.Namespace("copy"))(t)
			must(copied.Clear())(t)
			equal(t, must(copied.Import(path, nil))(t), luatkv.Imported{Stored: 2})
			equal(t, must(copied.ImportFrom(&written, nil))(t), luatkv.Imported{Skipped: 2})
			put(t, copied, "b", "another")
			equal(t, must(copied.Import(path, &luatkv.ImportOptions{Replace: true}))(t), luatkv.Imported{Stored: 2})
			equal(t, get(t, copied, "b"), "text")
			equal(t, get(t, copied, "a"), "\xff\x00")
			equal(t, string(must(copied.GetEntry("a"))(t).Metadata), `{"b":1}`)
		}
	})
}

// A regular file is used directly, from its position on, and stays open.
func TestFilesKeepTheirPlace(t *testing.T) {
	n := memory(t)
	put(t, n, "a", "1")
	file := must(os.Create(filepath.Join(t.TempDir(), "file")))(t)
	defer file.Close()
	must(file.WriteString("before\n"))(t)
	equal(t, must(n.ExportTo(file, luatkv.FormatJSONLines))(t), 1)
	must(file.WriteString(`{"key":"b","value":"2"}`))(t)
	must(file.Seek(7, io.SeekStart))(t)
	equal(t, must(n.ImportFrom(file, nil))(t), luatkv.Imported{Stored: 1, Skipped: 1})
	must(file.Seek(0, io.SeekStart))(t)
	equal(t, string(must(io.ReadAll(file))(t)[:7]), "before\n")

	ok(t, file.Close())
	_, err := n.ExportTo(nil, luatkv.FormatJSON)
	fails(t, err, luatkv.ErrInvalid)
	_, err = n.ImportFrom(nil, nil)
	fails(t, err, luatkv.ErrInvalid)
	_, err = n.ExportTo(file, luatkv.FormatJSON)
	equal(t, strings.Contains(err.Error(), "closed"), true)
	_, err = n.ImportFrom(file, nil)
	equal(t, strings.Contains(err.Error(), "closed"), true)
	reading := must(os.Open(file.Name()))(t)
	defer reading.Close()
	_, err = n.ExportTo(reading, luatkv.FormatJSON)
	fails(t, err, luatkv.ErrIO)
}

// From one namespace to another of the same store, through a pipe: neither call waits for the other.
func TestAnExportFeedsAnImport(t *testing.T) {
	store := openMemory(t)
	n, other := namespace(t, store), must(store.Namespace("other"))(t)
	ok(t, n.Put("large", bytes.Repeat([]byte("x"), 1<<20), nil))
	r, w, err := os.Pipe()
	ok(t, err)
	defer r.Close()
	exported := make(chan error)
	go func() {
		_, err := n.ExportTo(w, luatkv.FormatJSON)
		w.Close()
		exported <- err
	}()
	equal(t, must(other.ImportFrom(r, nil))(t), luatkv.Imported{Stored: 1})
	ok(t, <-exported)
	equal(t, len(get(t, other, "large")), 1<<20)
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestTransfersThatFail(t *testing.T) {
	n := memory(t)
	put(t, n, "k", "v")
	_, err := n.ExportTo(broken{}, luatkv.FormatJSON)
	fails(t, err, errBroken)
	_, err = n.ExportTo(&bytes.Buffer{}, 99)
	fails(t, err, luatkv.ErrInvalid)
	_, err = n.Export(filepath.Join(t.TempDir(), "no", "such", "folder"), luatkv.FormatJSON)
	fails(t, err, luatkv.ErrIO)
	_, err = n.Export("a\x00b", luatkv.FormatJSON)
	fails(t, err, luatkv.ErrInvalid, "NUL")

	line := "{\"key\":\"a\",\"value\":\"1\"}\n"
	_, err = n.ImportFrom(io.MultiReader(strings.NewReader(line), iotest.ErrReader(errBroken)), nil)
	fails(t, err, errBroken)
	imported, err := n.ImportFrom(strings.NewReader(line+"no JSON"), nil)
	fails(t, err, luatkv.ErrInvalid, "line 2")
	equal(t, imported, luatkv.Imported{})
	_, err = n.Import(filepath.Join(t.TempDir(), "missing"), nil)
	fails(t, err, luatkv.ErrIO)
	_, err = n.Import("a\x00b", nil)
	fails(t, err, luatkv.ErrInvalid, "NUL")
	equal(t, must(n.Count(""))(t), 1)
}
