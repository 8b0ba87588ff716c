package luatkv

// #include "shim.h"
import "C"

import (
	"io"
	"os"
	"unsafe"
)

// Format is the format of an export. Import detects it.
type Format uint32

const (
	// FormatJSON is one JSON array, as for Wrangler's `kv bulk put`.
	FormatJSON Format = C.LUAT_KV_FORMAT_JSON
	// FormatJSONLines is the same objects, one per line.
	FormatJSONLines Format = C.LUAT_KV_FORMAT_JSON_LINES
)

// ImportOptions are the options of an import. Zero values, and nil for the struct, are the defaults.
type ImportOptions struct {
	// Replace replaces existing keys. By default they are skipped.
	Replace bool
}

// Imported is the result of an import.
type Imported struct {
	// Stored is the number of stored entries, Skipped the number of entries that had expired, or whose keys existed and
	// were not replaced.
	Stored, Skipped int64
}

// Export writes all live entries of the namespace, as of one moment, to a JSON file, and returns how many. The file has
// the mode 0600. It gets its name when it is complete, and replaces an existing file.
func (n *Namespace) Export(path string, format Format) (int64, error) {
	cPath, err := newPath(path)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(cPath))
	return n.export(cPath, -1, format)
}

// ExportTo is like Export, to a writer. A regular file is written directly, from its current position. For other
// writers the export is first written to a temporary file: so they get nothing if the export fails, and a slow writer
// does not block other users of the store.
func (n *Namespace) ExportTo(w io.Writer, format Format) (count int64, err error) {
	if w == nil {
		return 0, invalid("the writer is nil")
	}
	file, temporary, err := fileOf(w)
	if err != nil {
		return 0, err
	}
	if temporary {
		defer file.Close()
	}
	err = withDescriptor(file, func(fd C.int) (err error) {
		count, err = n.export(nil, fd, format)
		return err
	})
	if err != nil || !temporary {
		return count, err
	}
	if _, err = file.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(w, file)
	}
	return count, err
}

func (n *Namespace) export(path *C.char, fd C.int, format Format) (int64, error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.leave()
	r := C.kv_export(n.ptr, path, fd, C.uint32_t(format))
	return int64(r.number), check(r)
}

// Import stores the entries of an export in the namespace, in one transaction: after an error, whose message contains
// the line, nothing is changed. Meanwhile other calls that write wait, in this process and others, at most for their
// busy timeout.
func (n *Namespace) Import(path string, options *ImportOptions) (Imported, error) {
	cPath, err := newPath(path)
	if err != nil {
		return Imported{}, err
	}
	defer C.free(unsafe.Pointer(cPath))
	return n.importFrom(cPath, -1, options)
}

// ImportFrom is like Import, from a reader. A regular file is read directly, from its current position to its end.
// Other readers are first copied to a temporary file: so a slow reader does not block other users of the store, and
// nothing is stored if the reader fails.
func (n *Namespace) ImportFrom(r io.Reader, options *ImportOptions) (imported Imported, err error) {
	if r == nil {
		return Imported{}, invalid("the reader is nil")
	}
	file, temporary, err := fileOf(r)
	if err != nil {
		return Imported{}, err
	}
	if temporary {
		defer file.Close()
		if _, err := io.Copy(file, r); err != nil {
			return Imported{}, err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return Imported{}, err
		}
	}
	err = withDescriptor(file, func(fd C.int) (err error) {
		imported, err = n.importFrom(nil, fd, options)
		return err
	})
	return imported, err
}

func (n *Namespace) importFrom(path *C.char, fd C.int, options *ImportOptions) (Imported, error) {
	if err := n.enter(); err != nil {
		return Imported{}, err
	}
	defer n.leave()
	var flags C.uint32_t
	if options != nil && options.Replace {
		flags |= C.LUAT_KV_IMPORT_REPLACE
	}
	r := C.kv_import(n.ptr, path, fd, flags)
	return Imported{Stored: int64(r.number), Skipped: int64(r.second)}, check(r)
}

// fileOf returns the stream itself if it is a regular file, and otherwise a temporary file without a name. (Go's pipes
// and sockets are non-blocking, and C needs a blocking descriptor.)
func fileOf(stream any) (file *os.File, temporary bool, err error) {
	if file, ok := stream.(*os.File); ok {
		info, err := file.Stat()
		if err != nil {
			return nil, false, err
		}
		if info.Mode().IsRegular() {
			return file, false, nil
		}
	}
	file, err = os.CreateTemp("", "luatkv")
	if err != nil {
		return nil, false, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, false, err
	}
	return file, true, nil
}

// withDescriptor makes a call with a file's descriptor, and keeps the file open meanwhile.
func withDescriptor(file *os.File, call func(fd C.int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var called error
	if err := conn.Control(func(fd uintptr) { called = call(C.int(fd)) }); err != nil {
		return err
	}
	return called
}
