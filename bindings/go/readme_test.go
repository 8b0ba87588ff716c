package luatkv_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const folderName, repositoryName = "PATH/TO/luat_kv/bindings/go", "HOST/OWNER/luat_kv/bindings/go"

// The unchanged example in README.md, in a new module that uses the package in this folder.
func TestTheReadmesExample(t *testing.T) {
	runExample(t, folderName, must(os.Getwd())(t))
}

// The same with the package from a repository, which a proxy represents.
func TestTheReadmesExampleFromARepository(t *testing.T) {
	const path = "example.com/owner/luat_kv/bindings/go"
	proxy := t.TempDir()
	serveModule(t, filepath.Join(proxy, path, "@v"), path)
	t.Setenv("GOPROXY", "file://"+proxy)
	t.Setenv("GONOSUMDB", "example.com")
	t.Setenv("GOPATH", t.TempDir())
	t.Setenv("GOFLAGS", "-mod=mod -modcacherw")
	runExample(t, repositoryName, path)
}

// serveModule writes this module to a folder in the form of a proxy: as the commit of the branch main.
func serveModule(t *testing.T, folder, path string) {
	t.Helper()
	const version = "v0.0.0-20260101000000-0123456789ab"
	ok(t, os.MkdirAll(folder, 0o700))
	write := func(name string, content []byte) { ok(t, os.WriteFile(filepath.Join(folder, name), content, 0o600)) }
	info := []byte(`{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`)
	write("main.info", info)
	write(version+".info", info)
	write(version+".mod", must(os.ReadFile("go.mod"))(t))
	var archive bytes.Buffer
	files := zip.NewWriter(&archive)
	for _, pattern := range []string{"*.go", "*.h", "go.mod"} {
		for _, name := range must(filepath.Glob(pattern))(t) {
			file := must(files.Create(path + "@" + version + "/" + name))(t)
			must(file.Write(must(os.ReadFile(name))(t)))(t)
		}
	}
	ok(t, files.Close())
	write(version+".zip", archive.Bytes())
}

// runExample runs the example in README.md in a new module, with the commands there that contain a placeholder `place`,
// which is replaced by `actual`.
func runExample(t *testing.T, place, actual string) {
	t.Helper()
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
	edits := regexp.MustCompile(`(?m)^    go (mod edit .*`+place+`.*)$`).FindAllStringSubmatch(readme, -1)
	equal(t, len(edits), 1)
	run("go", strings.Fields(strings.ReplaceAll(edits[0][1], place, actual))...)
	run("go", "mod", "tidy")
	equal(t, run("gofmt", "-l", "main.go"), "")
	equal(t, run("go", "run", "-race", "."), "Alice <nil>\n")
}
