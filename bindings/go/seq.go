//go:build go1.23

package luatkv

import "iter"

// All returns an iterator over the entries of a list, page after page, for a range loop. It begins and reads ahead as
// Iterate does, anew in each loop. After an error the loop ends: the error is the second variable of the last turn, with a
// zero Entry, and nil in every other. It needs Go 1.23; Iterate does the same with any Go.
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
