package luatkv_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Functions that the package deliberately does not use.
var leftOut = map[string]string{
	"luat_kv_open_options_init":  "shim.h sets up the structs that it declares",
	"luat_kv_put_options_init":   "the same",
	"luat_kv_list_options_init":  "the same",
	"luat_kv_incr_options_init":  "the same",
	"luat_kv_watch_options_init": "the same",
	"luat_kv_open":               "Open calls luat_kv_open_url, which also takes paths",
	"luat_kv_error_status":       "the call has returned it",
	"luat_kv_put":                "luat_kv_put_versioned does the same without a buffer",
	"luat_kv_add":                "luat_kv_add_versioned does the same without a buffer",
	"luat_kv_store_path":         "Stats has the path",
	"luat_kv_store_limits":       "Limits names them",
	"luat_kv_iter_open":          "Iterate reads pages, since a call of C for each entry would cost more",
	"luat_kv_iter_next":          "the same",
	"luat_kv_iter_free":          "the same",
	"luat_kv_delete":             "Delete ignores what luat_kv_remove reports",
}

// headerPath returns the header that the package is compiled with.
func headerPath(t *testing.T) string {
	t.Helper()
	folder := must(exec.Command("pkg-config", "--variable=includedir", "luat_kv").Output())(t)
	return filepath.Join(strings.TrimSpace(string(folder)), "luat_kv.h")
}

// cgo takes the declarations from the header, so only their use has to be checked.
func TestAllOfTheHeaderIsUsed(t *testing.T) {
	header := string(must(os.ReadFile(headerPath(t)))(t))
	var sources strings.Builder
	for _, pattern := range []string{"*.go", "*.h"} {
		for _, path := range must(filepath.Glob(pattern))(t) {
			if !strings.HasSuffix(path, "_test.go") {
				sources.Write(must(os.ReadFile(path))(t))
			}
		}
	}
	names := regexp.MustCompile(`(?m)^#define (LUAT_KV_\w+) |^\w[\w ]*[ *](luat_kv_\w+)\(`).FindAllStringSubmatch(header, -1)
	if len(names) < 80 {
		t.Fatalf("only %d names were found in the header", len(names))
	}
	for _, groups := range names {
		name := groups[1] + groups[2]
		used := regexp.MustCompile(`\b` + name + `\b`).MatchString(sources.String())
		if why, out := leftOut[name]; used == out {
			t.Errorf("%s: used: %v, left out: %v %s", name, used, out, why)
		}
	}
	for name := range leftOut {
		if !strings.Contains(header, name+"(") {
			t.Errorf("%s is left out, but not in the header", name)
		}
	}
}
