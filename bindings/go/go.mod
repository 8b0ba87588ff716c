// Where the module will be published: beside Luat's own repository. It is not there yet; README.md says how to use it
// before. Every other file that contains the path is compared with this one by readme_test.go.
module github.com/maravilla-labs/luat_kv/bindings/go

go 1.19
