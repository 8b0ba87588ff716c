package luatkv_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func TestValuesAreAnyBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for name, value := range map[string][]byte{
			"all": all, "not UTF-8": []byte("\xff\xc0\x80"), "NULs": []byte("a\x00b\x00"), "empty": {},
			"4 KiB": bytes.Repeat([]byte{7}, 4096), "more": bytes.Repeat([]byte{8}, 4097),
			"1 MiB": bytes.Repeat(all, 4096),
		} {
			ok(t, n.Put(name, value, nil))
			got := must(n.Get(name))(t)
			if got == nil || !bytes.Equal(got, value) || cap(got) > 2*len(value)+64 {
				t.Fatalf("%s: got %d bytes in %d, want %d", name, len(got), cap(got), len(value))
			}
			entry := must(n.GetEntry(name))(t)
			if entry.Value == nil || !bytes.Equal(entry.Value, value) {
				t.Fatalf("%s: the entry has %d bytes, want %d", name, len(entry.Value), len(value))
			}
		}
		ok(t, n.Put("nil", nil, nil))
		equal(t, get(t, n, "nil"), "")
	})
}

func TestKeysAreAnyText(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		longest := 4096
		if os.Getenv("LUAT_KV_TEST_POSTGRES") != "" {
			longest = 2600 - len("test") // shared with the namespace
		}
		keys := []string{"a", "A", "a\x00", "a\x00b", "\x00", " ", "%", "_", "\\", "/", "'", "\n", ".", "..", "é", "e\u0301",
			"\uffff", "\U0001f600", strings.Repeat("k", longest)}
		for _, key := range keys {
			put(t, n, key, "<"+key+">")
		}
		for _, key := range keys {
			equal(t, get(t, n, key), "<"+key+">")
		}
		equal(t, must(n.Count(""))(t), int64(len(keys)))
		for key, entry := range must(n.GetMany(keys...))(t) {
			equal(t, string(entry.Value), "<"+key+">")
			equal(t, entry.Key, key)
		}
	})
}

// Every call that takes a key returns an error for this one.
func TestKeysThatAreNone(t *testing.T) {
	n := memory(t)
	for key, want := range map[string]luatkv.Status{
		"": luatkv.ErrInvalid, "\xff": luatkv.ErrInvalid, "a\x80": luatkv.ErrInvalid, "\xed\xa0\x80": luatkv.ErrInvalid,
		strings.Repeat("k", 4097): luatkv.ErrLimit,
	} {
		_, err := n.Get(key)
		fails(t, err, want)
		_, err = n.GetEntry(key)
		fails(t, err, want)
		_, err = n.GetMany("good", key)
		fails(t, err, want)
		fails(t, n.Put(key, nil, nil), want)
		fails(t, n.Add(key, nil, nil), want)
		fails(t, n.Delete(key), want)
		_, err = n.Has(key)
		fails(t, err, want)
		_, err = n.Remove(key)
		fails(t, err, want)
		_, err = n.Take(key)
		fails(t, err, want)
		fails(t, n.Touch(key, nil), want)
		_, err = n.Incr(key, 1, nil)
		fails(t, err, want)
	}
	equal(t, must(n.Count(""))(t), 0)
}

func TestMissingKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		value, err := n.Get("missing")
		if value != nil || err != luatkv.ErrNotFound {
			t.Fatalf("got %v, %v", value, err)
		}
		entry, err := n.GetEntry("missing")
		fails(t, err, luatkv.ErrNotFound, "NOT_FOUND")
		equal(t, entry.Version, "")
		fails(t, n.Touch("missing", nil), luatkv.ErrNotFound)
		ok(t, n.Delete("missing"))
		equal(t, len(must(n.GetMany("missing", "too"))(t)), 0)
		var none int
		fails(t, n.GetJSON("missing", &none), luatkv.ErrNotFound)
	})
}

func TestMetadataAndExpiration(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		at := time.Unix(4000000000, 0)
		ok(t, n.Put("k", []byte("v"), &luatkv.PutOptions{Expiration: at, Metadata: json.RawMessage(`{ "a": [1, 2] }`)}))
		entry := must(n.GetEntry("k"))(t)
		equal(t, entry.Key, "k")
		equal(t, string(entry.Metadata), `{ "a": [1, 2] }`)
		equal(t, entry.Expiration, at)
		if entry.Version == "" {
			t.Fatal("no version")
		}
		put(t, n, "k", "v")
		plain := must(n.GetEntry("k"))(t)
		if plain.Metadata != nil || !plain.Expiration.IsZero() || plain.Version == entry.Version {
			t.Fatalf("a put without options left %+v", plain)
		}
		fails(t, n.Put("k", nil, &luatkv.PutOptions{Metadata: json.RawMessage(`{`)}), luatkv.ErrInvalid, "JSON")
		fails(t, n.Put("k", nil, &luatkv.PutOptions{Metadata: json.RawMessage(`null`)}), luatkv.ErrInvalid)
		long := json.RawMessage(`"` + strings.Repeat("x", 64*1024) + `"`)
		fails(t, n.Put("k", nil, &luatkv.PutOptions{Metadata: long}), luatkv.ErrLimit)
		equal(t, get(t, n, "k"), "v")
	})
}

// Times are rounded up to seconds, so that an entry never expires early.
func TestTimesAreRoundedUp(t *testing.T) {
	n := memory(t)
	expiration := func(key string) time.Time { return must(n.GetEntry(key))(t).Expiration }
	ok(t, n.Put("at", nil, &luatkv.PutOptions{Expiration: time.Unix(4000000000, 1)}))
	equal(t, expiration("at"), time.Unix(4000000001, 0))

	before := time.Now().Unix()
	both := luatkv.PutOptions{TTL: 100*time.Second + time.Nanosecond, Expiration: time.Unix(4000000000, 0)}
	ok(t, n.Put("ttl", nil, &both))
	if left := expiration("ttl").Unix() - before; left < 101 || left > 103 {
		t.Fatalf("%d seconds are left, want 101", left)
	}
	ok(t, n.Put("far", nil, &luatkv.PutOptions{TTL: math.MaxInt64}))
	ok(t, n.Touch("far", &luatkv.TouchOptions{Expiration: time.Unix(4000000000, 999999999)}))
	equal(t, expiration("far"), time.Unix(4000000001, 0))
	ok(t, n.Touch("far", nil))
	equal(t, expiration("far").IsZero(), true)
}

func TestTimesThatAreNone(t *testing.T) {
	store := openMemory(t)
	n := namespace(t, store)
	put(t, n, "k", "1")
	for _, ttl := range []time.Duration{60, time.Second - 1, -1, -time.Hour, math.MinInt64} {
		fails(t, n.Put("k", nil, &luatkv.PutOptions{TTL: ttl}), luatkv.ErrInvalid, "TTL is", "at least 1s")
		fails(t, n.Touch("k", &luatkv.TouchOptions{TTL: ttl}), luatkv.ErrInvalid)
		_, err := n.Incr("k", 1, &luatkv.IncrOptions{TTL: ttl})
		fails(t, err, luatkv.ErrInvalid)
		_, err = store.Batch().Put(n, "k", nil, &luatkv.PutOptions{TTL: ttl}).Commit()
		fails(t, err, luatkv.ErrInvalid)
	}
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-1, 1), time.Unix(1, 0), time.Now().Add(-time.Minute),
		time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64, 1)} {
		fails(t, n.Put("k", nil, &luatkv.PutOptions{Expiration: at}), luatkv.ErrInvalid, "future")
		fails(t, n.Touch("k", &luatkv.TouchOptions{Expiration: at}), luatkv.ErrInvalid)
	}
	equal(t, get(t, n, "k"), "1")
}

func TestEntriesExpire(t *testing.T) {
	store := openMemory(t)
	n := namespace(t, store)
	ok(t, n.Put("k", []byte("v"), &luatkv.PutOptions{TTL: time.Second}))
	equal(t, get(t, n, "k"), "v")
	// The library's clock is time(), which may be behind the finer one by a tick of the kernel.
	time.Sleep(time.Until(must(n.GetEntry("k"))(t).Expiration) + 50*time.Millisecond)
	_, err := n.Get("k")
	fails(t, err, luatkv.ErrNotFound)
	equal(t, must(n.Count(""))(t), 0)
	stats := must(store.Stats())(t)
	equal(t, stats.Namespaces[0], luatkv.NamespaceStats{Name: "test", Live: 0, Expired: 1})
	equal(t, must(store.Sweep(0))(t), 1)
}

func TestAddAndIncr(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		ok(t, n.Add("k", []byte("first"), nil))
		if err := n.Add("k", []byte("second"), nil); err != luatkv.ErrConflict {
			t.Fatalf("got %v", err)
		}
		equal(t, get(t, n, "k"), "first")
		_, err := n.Incr("k", 1, nil)
		fails(t, err, luatkv.ErrInvalid)

		equal(t, must(n.Incr("n", 5, nil))(t), 5)
		equal(t, must(n.Incr("n", -7, nil))(t), -2)
		equal(t, must(n.Incr("m", 1, &luatkv.IncrOptions{Initial: math.MaxInt64 - 1, TTL: time.Hour}))(t), math.MaxInt64)
		equal(t, must(n.GetEntry("m"))(t).Expiration.IsZero(), false)
		sum, err := n.Incr("m", 1, nil)
		fails(t, err, luatkv.ErrInvalid)
		equal(t, sum, 0)
		equal(t, get(t, n, "m"), "9223372036854775807")
		equal(t, must(n.Incr("min", math.MinInt64, nil))(t), math.MinInt64)
	})
}

func TestJSON(t *testing.T) {
	n := memory(t)
	type user struct {
		Name string
		Big  int64
	}
	ok(t, n.PutJSON("u", user{"Zoë", 1<<53 + 1}, nil))
	var back user
	ok(t, n.GetJSON("u", &back))
	equal(t, back, user{"Zoë", 1<<53 + 1})
	var unsupported *json.UnsupportedValueError
	if err := n.PutJSON("u", math.NaN(), nil); !errors.As(err, &unsupported) {
		t.Fatal(err)
	}
	put(t, n, "text", "no JSON")
	var syntax *json.SyntaxError
	if err := n.GetJSON("text", &back); !errors.As(err, &syntax) {
		t.Fatal(err)
	}
}

func TestGetMany(t *testing.T) {
	onBoth(t, func(t *testing.T, store *luatkv.Store, n *luatkv.Namespace) {
		put(t, n, "a", "1")
		ok(t, n.Put("b", nil, &luatkv.PutOptions{Metadata: json.RawMessage(`true`)}))
		many := must(n.GetMany("b", "missing", "a", "a"))(t)
		equal(t, len(many), 2)
		equal(t, string(many["a"].Value), "1")
		equal(t, many["b"].Value != nil && len(many["b"].Value) == 0, true)
		equal(t, string(many["b"].Metadata), "true")
		equal(t, many["a"].Version, must(n.GetEntry("a"))(t).Version)
		_, err := n.GetMany()
		fails(t, err, luatkv.ErrInvalid)
		_, err = n.GetMany(make([]string, 10001)...)
		fails(t, err, luatkv.ErrLimit)
	})
}
