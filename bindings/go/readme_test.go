package luatkv_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The example in README.md, as it stands, in a module of its own that takes the package as README.md says.
func TestTheReadmesExample(t *testing.T) {
	readme := string(must(os.ReadFile("README.md"))(t))
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(readme)[1]
	if lines := strings.Count(strings.ReplaceAll(program, "\n\n", "\n"), "\n"); lines >= 20 {
		t.Fatalf("the example has %d lines", lines)
	}
	folder := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = folder
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", args, err, output)
		}
		return string(output)
	}
	ok(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	run("go", "mod", "init", "hello")
	for _, line := range regexp.MustCompile(`(?m)^    go (mod edit .*)$`).FindAllStringSubmatch(readme, -1) {
		args := strings.Fields(strings.ReplaceAll(line[1], "PATH/TO/luat_kv/bindings/go", must(os.Getwd())(t)))
		run("go", args...)
	}
	equal(t, run("gofmt", "-l", "main.go"), "")
	equal(t, run("go", "run", "-race", "."), "Alice <nil>\n")
}
