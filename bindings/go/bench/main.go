// Bench measures the package beside bbolt: bench [--json] FOLDER. The script run calls it.
//
// Each store has the same 2 000 keys of 13 bytes, with values of 100 bytes, in a file. A round measures one operation
// on each of the stores, one after the other, so that all of them meet the same machine; the result is the median of
// the rounds. Each call is a transaction of its own, as a call of the package is, and returns a slice that the caller
// keeps. bbolt does not sync, since the package does not wait for the disk either. It lets one process open its file;
// the package returns what any process has written.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"time"

	luatkv "github.com/maravilla-labs/luat_kv/bindings/go"
	"go.etcd.io/bbolt"
)

const (
	keys   = 2000
	rounds = 31
	length = 100
)

// A subject is a store that is measured.
type subject struct {
	name string
	get  func(key string) ([]byte, error)
	put  func(key string, value []byte) error
}

// A result is a line of output.
type result struct {
	Host         string  `json:"host"`
	Operation    string  `json:"operation"`
	Subject      string  `json:"subject"`
	Microseconds float64 `json:"microseconds,omitempty"`
	Peer         string  `json:"peer,omitempty"`
	Ratio        float64 `json:"ratio,omitempty"`
	Goal         float64 `json:"goal,omitempty"`
}

func main() {
	log.SetFlags(0)
	asJSON := flag.Bool("json", false, "print the results as a JSON object a line")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: bench [--json] FOLDER")
	}
	results := measure(stores(flag.Arg(0)))
	if *asJSON {
		for _, line := range results {
			must(json.NewEncoder(os.Stdout).Encode(line))
		}
		return
	}
	fmt.Printf("%s, luat_kv %s, bbolt 1.3.6; medians of %d rounds\n\n", runtime.Version(), luatkv.Version(), rounds)
	for _, line := range results {
		if line.Peer == "" {
			fmt.Printf("%-14s %-20s %8.2f µs\n", line.Operation, line.Subject, line.Microseconds)
			continue
		}
		missed := ""
		if line.Ratio > line.Goal {
			missed = " MISSED"
		}
		fmt.Printf("%-14s %-20s %8.2f × %s, goal %v%s\n",
			line.Operation, line.Subject, line.Ratio, line.Peer, line.Goal, missed)
	}
}

func stores(folder string) []subject {
	store, err := luatkv.Open(filepath.Join(folder, "kv.db"), nil)
	must(err)
	inMemory, err := luatkv.OpenMemory(nil)
	must(err)
	db, err := bbolt.Open(filepath.Join(folder, "bolt.db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	must(err)
	bucket := []byte("bench")
	must(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}))
	getBolt := func(key string) (value []byte, err error) {
		err = db.View(func(tx *bbolt.Tx) error {
			value = append([]byte(nil), tx.Bucket(bucket).Get([]byte(key))...)
			return nil
		})
		return value, err
	}
	putBolt := func(key string, value []byte) error {
		return db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), value) })
	}
	return []subject{ours("luatkv", store), ours("luatkv, in memory", inMemory), {"bbolt", getBolt, putBolt}}
}

func ours(name string, store *luatkv.Store) subject {
	kv, err := store.Namespace("bench")
	must(err)
	put := func(key string, value []byte) error { return kv.Put(key, value, nil) }
	return subject{name, kv.Get, put}
}

func measure(subjects []subject) (results []result) {
	var names []string
	for i := 0; i < keys; i++ {
		names = append(names, fmt.Sprintf("key:%09d", i*7919%keys))
	}
	turn := 0
	put := func(s subject) {
		for _, key := range names {
			turn++ // SQLite does not write a value that stays as it is
			must(s.put(key, []byte(fmt.Sprintf("%0*d", length, turn))))
		}
	}
	get := func(s subject) {
		for _, key := range names {
			value, err := s.get(key)
			must(err)
			if len(value) != length {
				log.Fatalf("%s has no value for %s", s.name, key)
			}
		}
	}
	for _, s := range subjects {
		put(s)
	}
	results = append(results, compare("put", subjects, put, 0)...)
	for _, s := range subjects {
		get(s) // the cache takes a value that was read twice
		get(s)
	}
	return append(results, compare("get", subjects, get, 1.5)...)
}

// compare measures an operation for all keys, in rounds, and the first subject beside the last. There is no goal if it
// is 0.
func compare(operation string, subjects []subject, run func(subject), goal float64) (results []result) {
	times := make([][]float64, len(subjects))
	var ratios []float64
	for round := 0; round < rounds; round++ {
		for i, s := range subjects {
			begin := time.Now()
			run(s)
			times[i] = append(times[i], float64(time.Since(begin).Nanoseconds())/1000/keys)
		}
		ratios = append(ratios, times[0][round]/times[len(subjects)-1][round])
	}
	for i, s := range subjects {
		results = append(results, result{Host: "Go", Operation: operation, Subject: s.name, Microseconds: median(times[i])})
	}
	if goal > 0 {
		first, last := subjects[0].name, subjects[len(subjects)-1].name
		line := result{Host: "Go", Operation: operation, Subject: first, Peer: last, Ratio: median(ratios), Goal: goal}
		results = append(results, line)
	}
	return results
}

func median(numbers []float64) float64 {
	sort.Float64s(numbers)
	return numbers[len(numbers)/2]
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
