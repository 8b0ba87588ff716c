package luatkv_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func keysOf(page *luatkv.Page) string {
	keys := make([]string, len(page.Entries))
	for i, entry := range page.Entries {
		keys[i] = entry.Key
	}
	return strings.Join(keys, " ")
}

func TestListsTakeTheirOptions(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for _, key := range []string{"b", "a", "p:2", "p:1", "p:3", "q"} {
			put(t, n, key, "<"+key+">")
		}
		for want, options := range map[string]*luatkv.ListOptions{
			"a b p:1 p:2 p:3 q": nil,
			"p:1 p:2 p:3":       {Prefix: "p:"},
			"p:3 p:2 p:1":       {Prefix: "p:", Reverse: true},
			"b p:1":             {Start: "b", Stop: "p:2"},
			"a b":               {Limit: 2},
			"":                  {Prefix: "%"},
		} {
			page := must(n.List(options))(t)
			equal(t, keysOf(page), want)
			equal(t, page.Cursor != "", want == "a b")
			if len(page.Entries) > 0 && page.Entries[0].Value != nil {
				t.Fatal("a value that nobody asked for")
			}
		}
		page := must(n.List(&luatkv.ListOptions{Values: true, Limit: 4}))(t)
		equal(t, string(page.Entries[3].Value), "<p:2>")
		equal(t, page.Entries[3].Version, must(n.GetEntry("p:2"))(t).Version)
		equal(t, keysOf(must(n.List(&luatkv.ListOptions{Cursor: page.Cursor}))(t)), "p:3 q")
	})
}

func TestListsThatAreNone(t *testing.T) {
	n := memory(t)
	put(t, n, "k", "v")
	long := strings.Repeat("p", 4097)
	for _, c := range []struct {
		options luatkv.ListOptions
		want    luatkv.Status
	}{
		{luatkv.ListOptions{Limit: -1}, luatkv.ErrInvalid},
		{luatkv.ListOptions{Limit: math.MaxInt64}, luatkv.ErrInvalid},
		{luatkv.ListOptions{Limit: 1<<53 + 1}, luatkv.ErrInvalid},
		{luatkv.ListOptions{Limit: 10001}, luatkv.ErrLimit},
		{luatkv.ListOptions{Cursor: "no cursor"}, luatkv.ErrInvalid},
		{luatkv.ListOptions{Prefix: long}, luatkv.ErrLimit},
		{luatkv.ListOptions{Start: long}, luatkv.ErrLimit},
		{luatkv.ListOptions{Prefix: "\xff"}, luatkv.ErrInvalid},
	} {
		options := c.options
		_, err := n.List(&options)
		fails(t, err, c.want)
		keys := n.Iterate(&options)
		equal(t, keys.Next(), false)
		equal(t, keys.Next(), false)
		equal(t, keys.Key(), "")
		fails(t, keys.Err(), c.want)
	}
}

func TestIteratorsGoThroughAllPages(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for i := 0; i < 2500; i++ {
			ok(t, n.Put(fmt.Sprintf("k%04d", i), []byte{byte(i)}, nil))
		}
		for _, limit := range []int{0, 7, 1000, 2500, 10000} {
			keys, count := n.Iterate(&luatkv.ListOptions{Limit: limit, Values: true}), 0
			for ; keys.Next(); count++ {
				equal(t, keys.Key(), fmt.Sprintf("k%04d", count))
				equal(t, keys.Entry().Value[0], byte(count))
			}
			ok(t, keys.Err())
			equal(t, count, 2500)
			equal(t, keys.Next(), false)
		}
		keys := n.Iterate(nil)
		equal(t, keys.Next(), true) // the iterator is not used again
		keys = n.Iterate(&luatkv.ListOptions{Prefix: "none"})
		equal(t, keys.Next(), false)
		ok(t, keys.Err())
	})
}

func TestCountAndDeleteByPrefix(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		for i := 0; i < 30; i++ {
			put(t, n, fmt.Sprintf("%d:%d", i%3, i), "")
		}
		equal(t, must(n.Count("1:"))(t), 10)
		equal(t, must(n.DeletePrefix("1:"))(t), 10)
		_, err := n.DeletePrefix("")
		fails(t, err, luatkv.ErrInvalid)
		equal(t, must(n.Count(""))(t), 20)
		equal(t, must(n.Clear())(t), 20)
		equal(t, must(n.Clear())(t), 0)
	})
}
