// Command go-proxy writes the module in bindings/go to a folder in the form of a module proxy, which `go get` can fetch
// it from. It runs in the project's folder:
//
//	go run make/go-proxy.go v0.1.0 FOLDER    then GOPROXY=file:///path/to/FOLDER
package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
)

const module = "bindings/go"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run make/go-proxy.go VERSION FOLDER")
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// write makes the four files that a proxy has for a version: https://go.dev/ref/mod#goproxy-protocol.
func write(version, folder string) error {
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
	return archive(filepath.Join(folder, version+".zip"), path+"@"+version)
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

// archive writes the files of the module, each below prefix. A module's archive has regular files only, and
// none of another module in a folder of it.
func archive(name, prefix string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	files := zip.NewWriter(file)
	err = filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != module && isModule(path) {
			return fs.SkipDir
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to, err := files.Create(prefix + filepath.ToSlash(strings.TrimPrefix(path, module)))
		if err == nil {
			_, err = to.Write(content)
		}
		return err
	})
	if err == nil {
		err = files.Close()
	}
	return err
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}
