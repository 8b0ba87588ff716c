# The Go module with its library inside: fetched by go get, built and run with Go and gcc only.
# needs: golang-go gcc libc6-dev
. ./tap.sh
. ./first-get
module=github.com/maravilla-labs/luat_kv/bindings/go
export module GOPROXY=off # but in README's command, which names a folder

echo "# $(cd /dist/go && find . -name '*.zip' -printf '%f %s bytes')"
first_get 'Go 1.19 or later, with a C compiler' '
    sed -n "/^\`\`\`go\$/,/^\`\`\`\$/p" "$(go list -m -f "{{.Dir}}" "$module")/README.md" |
        awk "/^\`\`\`/ { blocks++; next } blocks == 1" >main.go
    [ "$(go run .)" = "Alice <nil>" ]'
check 'it needs no library of ours' 'go build -o hello && ldd hello && ! ldd hello | grep luat_kv'
check 'it builds from go mod vendor too' 'go mod vendor && go build -mod=vendor -o vendored && ./vendored && rm -r vendor'
check 'luat_kv_system links the library that pkg-config finds, as on other processors' '
    [ "$(go list -f "{{.CgoPkgConfig}}" "$module")" = "[]" ]
    [ "$(go list -tags luat_kv_system -f "{{.CgoPkgConfig}}" "$module")" = "[luat_kv]" ]
    [ "$(GOARCH=arm64 CGO_ENABLED=1 go list -f "{{.CgoPkgConfig}}" "$module")" = "[luat_kv]" ]'
check 'without cgo the first error says what is missing' '
    ! CGO_ENABLED=0 go build 2>said; cat said; sed -n 2p said | grep "install a C compiler (gcc), and set CGO_ENABLED=1"'
check 'without a C compiler the go command names it' '
    ! CC=missing-cc go build 2>said; cat said; grep missing-cc said'
check 'go mod tidy and go clean -modcache leave nothing' '
    echo "package main; func main() {}" >main.go
    go mod tidy
    cat go.*
    if grep luat go.*; then exit 1; fi
    go clean -modcache
    ! find / -xdev -path "*/pkg/mod/*" -name "*luat_kv*" | grep .'
finish
