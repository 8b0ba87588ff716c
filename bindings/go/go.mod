// This path names no host, since the project has no public address yet. A program takes the package from a folder, or from
// any repository that Go can fetch, by a `replace` line: README.md. Go wants such a module to have the path that it replaces.
module luatkv

go 1.19
