// Command go-proxy writes the module in bindings/go to a folder in the form of a module proxy, which `go get` can fetch
// it from. It runs in the project's folder:
//
//	go run make/go-proxy.go v0.1.0 FOLDER    then GOPROXY=file:///path/to/FOLDER
//	go run make/go-proxy.go v0.1.0 FOLDER LIBRARY NOTICES    with the static library for this system in the module,
//	                                                         and the notices of what is compiled in
package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
)

const module = "bindings/go"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 && len(os.Args) != 5 {
		log.Fatal("usage: go run make/go-proxy.go VERSION FOLDER [LIBRARY NOTICES]")
	}
	additions := map[string][]byte{}
	if len(os.Args) == 5 {
		if err := addLibrary(additions, os.Args[3], os.Args[4]); err != nil {
			log.Fatal(err)
		}
	}
	if err := write(os.Args[1], os.Args[2], additions); err != nil {
		log.Fatal(err)
	}
}

// What links the library in the module, and otherwise the system's. The file has no folder of its own, which `go mod
// vendor` would leave out.
const (
	system = "//go:build luat_kv_system || !linux || !%s\n\n"
	static = `//go:build !luat_kv_system && linux && %[1]s

package luatkv

// #cgo CFLAGS: -DLUATKV_STATIC
// #cgo LDFLAGS: ${SRCDIR}/libluat_kv_linux_%[1]s.a -lpthread -ldl -lm
import "C"
`
)

// addLibrary adds the static library to the files of the module, with its header and the notices of what it contains.
func addLibrary(additions map[string][]byte, library, notices string) error {
	arch := runtime.GOARCH
	for name, from := range map[string]string{
		"link.go":                         filepath.Join(module, "link.go"),
		"THIRD-PARTY-LICENSES":            notices,
		"libluat_kv.h":                    "include/luat_kv.h",
		"libluat_kv_linux_" + arch + ".a": library,
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		additions[name] = content
	}
	additions["link.go"] = append([]byte(fmt.Sprintf(system, arch)), additions["link.go"]...)
	additions["link_static.go"] = []byte(fmt.Sprintf(static, arch))
	return nil
}

// write makes the four files that a proxy has for a version: https://go.dev/ref/mod#goproxy-protocol.
func write(version, folder string, additions map[string][]byte) error {
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return err
	}
	path, err := modulePath(string(mod))
	if err != nil {
		return err
	}
	folder = filepath.Join(folder, path, "@v")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"list":            version + "\n",
		version + ".info": fmt.Sprintf("{%q:%q}\n", "Version", version),
		version + ".mod":  string(mod),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o666); err != nil {
			return err
		}
	}
	return archive(filepath.Join(folder, version+".zip"), path+"@"+version, additions)
}

func modulePath(mod string) (string, error) {
	for _, line := range strings.Split(mod, "\n") {
		if path := strings.TrimPrefix(line, "module "); path != line {
			if path != strings.ToLower(path) {
				return "", fmt.Errorf("go.mod: a proxy escapes capital letters, and this program does not: %s", path)
			}
			return path, nil
		}
	}
	return "", fmt.Errorf("go.mod has no line that begins with \"module \"")
}

// archive writes the files of the module, each below prefix. A module's archive has regular files only, and none of
// another module in a folder of it. An addition takes the place of the module's own file.
func archive(name, prefix string, additions map[string][]byte) error {
	contents := map[string][]byte{}
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != module && isModule(path) {
			return fs.SkipDir
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		contents[filepath.ToSlash(strings.TrimPrefix(path, module+"/"))] = content
		return err
	})
	if err != nil {
		return err
	}
	names := []string{}
	for name, content := range additions {
		contents[name] = content
	}
	for name := range contents {
		names = append(names, name)
	}
	sort.Strings(names)
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	files := zip.NewWriter(file)
	for _, name := range names {
		to, err := files.Create(prefix + "/" + name)
		if err != nil {
			return err
		}
		if _, err := to.Write(contents[name]); err != nil {
			return err
		}
	}
	return files.Close()
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}
