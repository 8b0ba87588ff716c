# For the scripts beside this one: $root, a folder $tmp to work in that goes at the end, and TAP.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d) && cd "$tmp" || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0 number=0

# check NAME COMMAND: runs a shell command; it holds if that ends with 0.
check() {
    number=$((number + 1))
    if output=$(sh -euc "$2" 2>&1); then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '%s\n' "$output" | sed 's/^/# /'
        failed=1
    fi
}

finish() { echo "1..$number"; exit $failed; }

# A line "function argument argument…" for each function that a C compiler finds in the header.
declared() {
    ${CC:-cc} -E -P -x c "$root/include/luat_kv.h" | tr -s '\n ' ' ' | tr ';' '\n' |
        sed -n 's/.*[ *]\(luat_kv_[a-z0-9_]*\)(\(.*\)).*/\1 \2/p' |
        awk '{ n = split($0, parts, ","); sub(/ void$/, "", parts[n]); line = $1
               for (i = 1; i <= n; i++) { sub(/.*[ *]/, "", parts[i]); if (parts[i] != $1) line = line " " parts[i] }
               print line }' | sort
}

# A copy of the header in which one text is another: broken TEXT OTHER.
broken() {
    sed "s|$1|$2|" "$root/include/luat_kv.h" >broken.h
    ! cmp -s broken.h "$root/include/luat_kv.h"
}
