package luatkv

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"syscall"
)

// Status says why a call did not do what it was asked: an outcome (ErrNotFound, ErrConflict) or an error. It is itself an
// error, for errors.Is:
//
//	if errors.Is(err, luatkv.ErrBusy) { … }
//
// Outcomes are returned as they are, errors within an *Error, which has a message too.
type Status int32

const (
	// ErrNotFound : there is no such key, or it has expired.
	ErrNotFound Status = C.LUAT_KV_NOT_FOUND
	// ErrConflict : a condition of a batch did not hold, or Add found the key; nothing was changed.
	ErrConflict Status = C.LUAT_KV_CONFLICT
	// ErrInvalid : the request itself is wrong, and would fail again.
	ErrInvalid Status = C.LUAT_KV_INVALID
	// ErrIO : the operating system refused: no such folder, no permission, disk full, …
	ErrIO Status = C.LUAT_KV_IO
	// ErrBusy : another process or store held the database for longer than the busy timeout. Try again.
	ErrBusy Status = C.LUAT_KV_BUSY
	// ErrCorrupt : the file is not a database, is damaged, or is not a key-value store's.
	ErrCorrupt Status = C.LUAT_KV_CORRUPT
	// ErrReadOnly : a write to a store that was opened for reading only, or whose file may not be written.
	ErrReadOnly Status = C.LUAT_KV_READONLY
	// ErrLimit : something is longer, or a lifetime shorter, than the store's limits allow.
	ErrLimit Status = C.LUAT_KV_LIMIT
	// ErrNoMemory : memory ran out.
	ErrNoMemory Status = C.LUAT_KV_NOMEM
	// ErrPanic : a bug in the library was caught; the store goes on working. Please report it.
	ErrPanic Status = C.LUAT_KV_PANIC
	// ErrInternal : SQLite answered something unexpected.
	ErrInternal Status = C.LUAT_KV_INTERNAL
)

// ErrClosed is what every call on a closed store comes to, and on its namespaces and batches. Its status is ErrInvalid.
var ErrClosed error = &Error{Status: ErrInvalid, Message: "the store is closed"}

// Code returns the status's name in the C library, such as "BUSY"; "UNKNOWN" for a number that has none.
func (s Status) Code() string {
	return C.GoString(C.luat_kv_status_str(C.luat_kv_status(s)))
}

// Error returns the code, and for an outcome what it means.
func (s Status) Error() string {
	switch s {
	case ErrNotFound:
		return "luatkv: NOT_FOUND: there is no such key"
	case ErrConflict:
		return "luatkv: CONFLICT: a condition did not hold"
	}
	return "luatkv: " + s.Code()
}

// Error is an error of the library: its status, and a message of one line. After an error everything is as it was.
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
