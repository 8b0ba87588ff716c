package luatkv_test

import (
	"path/filepath"
	"testing"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
)

func onBothB(b *testing.B, bench func(b *testing.B, n *luatkv.Namespace)) {
	b.Run("memory", func(b *testing.B) { bench(b, memory(b)) })
	b.Run("disk", func(b *testing.B) { bench(b, namespace(b, openFile(b, filepath.Join(b.TempDir(), "kv.db"), nil))) })
}

func BenchmarkGet(b *testing.B) {
	onBothB(b, func(b *testing.B, n *luatkv.Namespace) {
		ok(b, n.Put("key", make([]byte, 100), nil))
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			if _, err := n.Get("key"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGetParallel(b *testing.B) {
	onBothB(b, func(b *testing.B, n *luatkv.Namespace) {
		ok(b, n.Put("key", make([]byte, 100), nil))
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := n.Get("key"); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkPut(b *testing.B) {
	onBothB(b, func(b *testing.B, n *luatkv.Namespace) {
		value := make([]byte, 100)
		b.ReportAllocs()
		for i := 0; i < b.N; i++ {
			ok(b, n.Put("key", value, nil))
		}
	})
}

func BenchmarkList1000(b *testing.B) {
	onBothB(b, func(b *testing.B, n *luatkv.Namespace) {
		for i := 0; i < 1000; i++ {
			ok(b, n.Put(string([]byte{'a' + byte(i/100), 'a' + byte(i/10%10), 'a' + byte(i%10)}), make([]byte, 100), nil))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			if _, err := n.List(&luatkv.ListOptions{Values: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The overhead of a call: cgo, and the lock that Close waits for.
func BenchmarkNothing(b *testing.B) {
	b.Run("cgo", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			luatkv.Version()
		}
	})
	b.Run("lock", func(b *testing.B) { // an error after the lock, and before C
		store := openMemory(b)
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			store.Sweep(-1)
		}
	})
}
