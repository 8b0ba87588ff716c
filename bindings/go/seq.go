//go:build go1.23

package luatkv

import "iter"

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
