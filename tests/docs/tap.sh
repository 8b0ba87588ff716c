# For the scripts in this folder: $root, a temporary working directory $tmp, TAP, and the header's functions.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d) && cd "$tmp" || exit 1
trap 'rm -rf "$tmp"' EXIT
. "$root/tests/tap.sh"

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
