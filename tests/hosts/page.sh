# For the scripts in this folder: $root, a temporary working directory $tmp, TAP, and the blocks of code of a page.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d) && chmod 755 "$tmp" && cd "$tmp" || exit 1
cleanup() { :; } # for what a script leaves outside of $tmp
trap 'cleanup; cd /; rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
. "$root/tests/tap.sh"
export root tmp

# block PAGE LANGUAGE [NUMBER]: a block of code of docs/hosts/PAGE.md.
block() {
    awk -v fence="\`\`\`$2" -v which="${3:-1}" '$0 == "```" { on = 0 } on { print; found = 1 } $0 == fence { on = ++seen == which }
        END { exit !found }' "$root/docs/hosts/$1.md" || { echo "Bail out! $1.md has no block $2 ${3:-1}"; exit 1; }
}
