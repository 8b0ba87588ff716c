//go:build go1.23

package luatkv

import (
	"context"
	"iter"
)

// All returns an iterator over the entries of a list, page after page, for a range loop. Each loop begins again, and
// reads ahead like Iterate. An error ends the loop: in the last iteration the second variable is the error, and the
// Entry is zero; in all others it is nil. All needs Go 1.23; Iterate works with any version of Go.
//
//	for user, err := range users.All(&luatkv.ListOptions{Prefix: "user:"}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(user.Key)
//	}
func (n *Namespace) All(options *ListOptions) iter.Seq2[Entry, error] {
	var copied ListOptions
	if options != nil {
		copied = *options
	}
	return func(yield func(Entry, error) bool) {
		keys := n.Iterate(&copied)
		for keys.Next() {
			if !yield(keys.Entry(), nil) {
				return
			}
		}
		if err := keys.Err(); err != nil {
			yield(Entry{}, err)
		}
	}
}

// Watch returns an iterator over the changes of keys, whoever makes them, for a range loop that waits for each one
// until ctx is done. Each loop watches anew: what changes after it begins is reported, and with WatchOptions.Existing
// what is there before. An error ends the loop, also that of ctx: in the last iteration the second variable is the
// error, and the Change is zero; in all others it is nil.
// Watch needs Go 1.23; a Watcher works with any version of Go, has a Token, and tells which changes belong together.
//
//	for change, err := range sessions.Watch(ctx, &luatkv.WatchOptions{Prefix: "session:"}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(change.Type, change.Key)
//	}
func (n *Namespace) Watch(ctx context.Context, options *WatchOptions) iter.Seq2[Change, error] {
	var copied WatchOptions
	if options != nil {
		copied = *options
		copied.Keys = append(options.Keys[:0:0], options.Keys...)
	}
	return func(yield func(Change, error) bool) {
		w, err := n.Watcher(&copied)
		if err != nil {
			yield(Change{}, err)
			return
		}
		defer w.Close()
		for {
			changes, err := w.Next(ctx)
			for _, change := range changes {
				if err = ctx.Err(); err != nil {
					break
				}
				if !yield(change, nil) {
					return
				}
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
		}
	}
}
