package luatkv

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"syscall"
)

// Status is the reason why a call failed: an outcome (ErrNotFound, ErrConflict) or an error. It is itself an error, for
// errors.Is:
//
//	if errors.Is(err, luatkv.ErrBusy) { … }
//
// Outcomes are returned directly, errors within an *Error, which also has a message.
type Status int32

const (
	// ErrNotFound means that the key is missing or has expired.
	ErrNotFound Status = C.LUAT_KV_NOT_FOUND
	// ErrConflict means that a condition of a batch did not hold, or that Add found the key. Nothing was changed.
	ErrConflict Status = C.LUAT_KV_CONFLICT
	// ErrInvalid means that the request itself is wrong, and would fail again.
	ErrInvalid Status = C.LUAT_KV_INVALID
	// ErrIO means that the operating system returned an error: no such folder, no permission, disk full, …
	ErrIO Status = C.LUAT_KV_IO
	// ErrBusy means that another process or store locked the database for longer than the busy timeout. Try again.
	ErrBusy Status = C.LUAT_KV_BUSY
	// ErrCorrupt means that the file is not a database, is damaged, or is not a key-value store's.
	ErrCorrupt Status = C.LUAT_KV_CORRUPT
	// ErrReadOnly means that a store was opened read-only, or that writing to its file is not permitted.
	ErrReadOnly Status = C.LUAT_KV_READONLY
	// ErrLimit means that something is longer, or a lifetime shorter, than the store's limits allow.
	ErrLimit Status = C.LUAT_KV_LIMIT
	// ErrNoMemory means that memory ran out.
	ErrNoMemory Status = C.LUAT_KV_NOMEM
	// ErrPanic means that a bug in the library was caught. The store can still be used. Please report it.
	ErrPanic Status = C.LUAT_KV_PANIC
	// ErrInternal means that SQLite returned an unexpected result.
	ErrInternal Status = C.LUAT_KV_INTERNAL
)

// ErrClosed is the error of every call on a closed store, and on its namespaces, batches and watchers, but for
// Watcher.Token. Its status is ErrInvalid.
var ErrClosed error = &Error{Status: ErrInvalid, Message: "the store is closed"}

// Code returns the status's name in the C library, such as "BUSY"; "UNKNOWN" for a number that has none.
func (s Status) Code() string {
	return C.GoString(C.luat_kv_status_str(C.luat_kv_status(s)))
}

// Error returns the code, and, for an outcome, its meaning.
func (s Status) Error() string {
	switch s {
	case ErrNotFound:
		return "luatkv: NOT_FOUND: there is no such key"
	case ErrConflict:
		return "luatkv: CONFLICT: a condition did not hold"
	}
	return "luatkv: " + s.Code()
}

// Error is an error of the library: its status, and a message of one line. The data is as before the call.
type Error struct {
	Status  Status
	Message string
	// Errno is the system's error, such as syscall.ENOSPC, or 0 if no call of the system failed.
	Errno syscall.Errno
}

// Code returns the status's name, such as "BUSY".
func (e *Error) Code() string { return e.Status.Code() }

// Error returns the code and the message.
func (e *Error) Error() string { return "luatkv: " + e.Code() + ": " + e.Message }

// Unwrap returns the status, so that errors.Is(err, ErrBusy) holds.
func (e *Error) Unwrap() error { return e.Status }

// Is returns whether the system's error is the target, as for errors.Is(err, syscall.ENOSPC) or fs.ErrNotExist.
func (e *Error) Is(target error) bool { return e.Errno != 0 && errors.Is(e.Errno, target) }

func invalid(format string, args ...any) error {
	return &Error{Status: ErrInvalid, Message: fmt.Sprintf(format, args...)}
}

// check returns the error of a call, and frees the library's own.
func check(r C.kv_result) error {
	if r.status == C.LUAT_KV_OK {
		return nil
	}
	if r.status > 0 {
		return Status(r.status)
	}
	defer C.luat_kv_error_free(r.error)
	message, errno := C.luat_kv_error_message(r.error), C.luat_kv_error_errno(r.error)
	return &Error{Status(r.status), C.GoString(message), syscall.Errno(errno)}
}
