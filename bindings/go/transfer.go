package luatkv

// #include "shim.h"
import "C"

import (
	"io"
	"os"
	"unsafe"
)

// Format is how an export is written. Import finds it out.
type Format uint32

const (
	// FormatJSON : one JSON array, as Wrangler's `kv bulk put` takes it.
	FormatJSON Format = C.LUAT_KV_FORMAT_JSON
	// FormatJSONLines : the same objects, each on a line of its own.
	FormatJSONLines Format = C.LUAT_KV_FORMAT_JSON_LINES
)

// ImportOptions says how to import. Zero values, and nil for the struct, are the defaults.
type ImportOptions struct {
	// Replace what keys that are there already hold, rather than leave them alone.
	Replace bool
}

// Imported is what an import did.
type Imported struct {
	// Stored entries, and Skipped ones: expired, or with a key that is there and was not to be replaced.
	Stored, Skipped int64
}

// Export writes all live entries of the namespace, as they are at one moment, to a file of JSON, and counts them. The
// file, of mode 0600, gets its name, in place of any other, when it is whole.
func (n *Namespace) Export(path string, format Format) (int64, error) {
	cPath, err := newPath(path)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(cPath))
	return n.export(cPath, -1, format)
}

// ExportTo is as Export, to a writer. A regular file is written to directly, from where it stands. All else gets what was
// first written to a temporary file: nothing if that fails, and a slow reader keeps nobody waiting.
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

// Import stores the entries of an export in the namespace, in one transaction: after an error, whose message tells the
// line, all is as it was. While this runs, other calls that write wait, in this process and others, at most for their
// busy timeout.
func (n *Namespace) Import(path string, options *ImportOptions) (Imported, error) {
	cPath, err := newPath(path)
	if err != nil {
		return Imported{}, err
	}
	defer C.free(unsafe.Pointer(cPath))
	return n.importFrom(cPath, -1, options)
}

// ImportFrom is as Import, from a reader. A regular file is read directly, from where it stands to its end. All else is
// first read into a temporary file: a slow writer keeps nobody waiting, and an error of the reader stores nothing.
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

// fileOf returns the regular file that a reader or writer is, or else a temporary one, which has no name. (Pipes and
// sockets of Go's do not block, and C needs a descriptor that does.)
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

// withDescriptor makes a call with a file's descriptor, which stays open meanwhile.
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
