// The project has no public address as yet, so this path has none either: a program takes the package from a folder
// (see README.md). A path that names a host would be a promise that `go get` cannot keep.
module luatkv

go 1.19
