package luatkv

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The first and the maximum wait of Retry between two calls.
const firstWait, lastWait = time.Millisecond, 100 * time.Millisecond

// Retry makes a call, and repeats it as long as it returns ErrBusy, until ctx is done. It returns the first other
// result or, if ctx is done, the error of ctx with the message of the last call. If ctx is already done, it makes no
// call.
//
// A call into C cannot be cancelled, so ctx does not shorten the wait within a call. Open the store with
// Options.NoWait: then calls do not wait for other processes, and only Retry waits.
//
//	err := luatkv.Retry(ctx, func() error { return users.Put("user:1", value, nil) })
func Retry(ctx context.Context, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for wait := firstWait; ; wait = least(2*wait, lastWait) {
		err := call()
		if !errors.Is(err, ErrBusy) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %v", ctx.Err(), err)
		case <-timer.C:
		}
	}
}
