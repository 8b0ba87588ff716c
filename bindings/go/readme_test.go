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

// modulePath returns the path in go.mod.
func modulePath(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^module (.*)$`).FindStringSubmatch(string(must(os.ReadFile("go.mod"))(t)))[1]
}

// All that there is to read names the path that go.mod has. (A test that imports another path does not compile.)
func TestThePathIsTheSameEverywhere(t *testing.T) {
	named := regexp.MustCompile(`[\w-]+\.[\w.-]+/[\w.-]+/luat_kv/bindings/go`)
	path, count := modulePath(t), 0
	for _, pattern := range []string{"doc.go", "*.md", "../../*.md", "../../docs/*.md"} {
		for _, file := range must(filepath.Glob(pattern))(t) {
			for _, found := range named.FindAllString(string(must(os.ReadFile(file))(t)), -1) {
				count++
				if found != path {
					t.Errorf("%s: %s, and in go.mod %s", file, found, path)
				}
			}
		}
	}
	if count < 3 {
		t.Errorf("the path was found only %d times", count)
	}
}

// A module that is fetched has only the files of its folder.
func TestTheLicencesAreTheProjects(t *testing.T) {
	for _, name := range []string{"LICENSE-APACHE", "LICENSE-MIT"} {
		equal(t, string(must(os.ReadFile(name))(t)), string(must(os.ReadFile("../../"+name))(t)))
	}
}

// The unchanged example in README.md, in a new module that uses the package in this folder.
func TestTheReadmesExample(t *testing.T) {
	edit := readmes(t, "mod edit .*="+folderName)
	runExample(t, strings.ReplaceAll(edit, folderName, must(os.Getwd())(t)), "mod tidy")
}

// The same with the package from a repository, which a proxy represents.
func TestTheReadmesExampleFromARepository(t *testing.T) {
	const path = "example.com/owner/luat_kv/bindings/go"
	proxy := t.TempDir()
	serveModule(t, filepath.Join(proxy, path, "@v"), path)
	fetchFrom(t, proxy, "example.com")
	edit := readmes(t, "mod edit .*="+repositoryName+"@main")
	runExample(t, strings.ReplaceAll(edit, repositoryName, path), "mod tidy")
}

// The same with the package as `go get` fetches it, from the proxy that `make go-proxy` writes.
func TestTheReadmesExampleFetchedByGoGet(t *testing.T) {
	cargo := string(must(os.ReadFile("../../Cargo.toml"))(t))
	version := "v" + regexp.MustCompile(`(?m)^version = "(.*)"`).FindStringSubmatch(cargo)[1]
	proxy := t.TempDir()
	makeProxy := exec.Command("go", "run", "make/go-proxy.go", version, proxy)
	makeProxy.Dir = "../.."
	if output, err := makeProxy.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	path := modulePath(t)
	fetchFrom(t, proxy, path)
	folder := runExample(t, readmes(t, "get "+path))
	equal(t, goIn(t, folder, "list", "-m", path), path+" "+version+"\n")
	goIn(t, folder, "get", path+"@"+version)
}

// fetchFrom makes the go command fetch modules from a proxy in a folder, and from nowhere else, into an empty cache.
func fetchFrom(t *testing.T, proxy, unlisted string) {
	t.Setenv("GOPROXY", "file://"+proxy+",off")
	t.Setenv("GONOSUMDB", unlisted)
	t.Setenv("GOPATH", t.TempDir())
	t.Setenv("GOFLAGS", "-mod=mod -modcacherw")
}

// README.md at the top shows the same commands as this one.
func TestTheProjectsReadmeHasTheSameCommands(t *testing.T) {
	top := string(must(os.ReadFile("../../README.md"))(t))
	lines := regexp.MustCompile(`(?m)^    (.*\bgo (mod init|get) .*)$`).FindAllStringSubmatch(
		string(must(os.ReadFile("README.md"))(t)), -1)
	equal(t, len(lines), 2)
	if row := "| `" + lines[0][1] + "`, `" + lines[1][1] + "` |"; !strings.Contains(top, row) {
		t.Errorf("there is no row with %s", row)
	}
}

// readmes returns the only command of go in README.md that matches a pattern, without what stands before the pattern.
func readmes(t *testing.T, pattern string) string {
	t.Helper()
	readme := string(must(os.ReadFile("README.md"))(t))
	commands := regexp.MustCompile(`(?m)^    (?:.* )?go (`+pattern+`)$`).FindAllStringSubmatch(readme, -1)
	equal(t, len(commands), 1)
	return commands[0][1]
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

// runExample runs the example in README.md in a new module, after some commands. Returns the module's folder.
func runExample(t *testing.T, commands ...string) string {
	t.Helper()
	readme := string(must(os.ReadFile("README.md"))(t))
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(readme)[1]
	if lines := strings.Count(strings.ReplaceAll(program, "\n\n", "\n"), "\n"); lines >= 20 {
		t.Fatalf("the example has %d lines", lines)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "main.go")
	ok(t, os.WriteFile(file, []byte(program), 0o600))
	equal(t, string(must(exec.Command("gofmt", "-l", file).Output())(t)), "")
	for _, command := range append([]string{readmes(t, "mod init .*")}, commands...) {
		goIn(t, folder, strings.Fields(command)...)
	}
	equal(t, goIn(t, folder, "run", "-race", "."), "Alice <nil>\n")
	return folder
}

// goIn runs the go command in a folder, and returns what it prints to the standard output.
func goIn(t *testing.T, folder string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = folder
	var failure bytes.Buffer
	cmd.Stderr = &failure
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v: %s", args, err, failure.String())
	}
	return string(output)
}
