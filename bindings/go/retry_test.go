package luatkv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestRetryCallsUntilTheStoreIsNotBusy(t *testing.T) {
	calls := 0
	ok(t, luatkv.Retry(context.Background(), func() error {
		if calls++; calls < 5 {
			return &luatkv.Error{Status: luatkv.ErrBusy, Message: "held"}
		}
		return nil
	}))
	equal(t, calls, 5)
	other := errors.New("other")
	fails(t, luatkv.Retry(context.Background(), func() error { calls++; return other }), other)
	equal(t, calls, 6)
}

func TestRetryEndsWithItsContext(t *testing.T) {
	calls := 0
	busy := func() error {
		calls++
		return &luatkv.Error{Status: luatkv.ErrBusy, Message: "held"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	fails(t, luatkv.Retry(ctx, busy), context.DeadlineExceeded, "BUSY: held")
	equal(t, calls > 0, true)
	calls = 0
	fails(t, luatkv.Retry(ctx, busy), context.DeadlineExceeded)
	equal(t, calls, 0)
	ctx, cancel = context.WithCancel(context.Background())
	fails(t, luatkv.Retry(ctx, func() error { cancel(); return busy() }), context.Canceled)
}
