# TAP (testanything.org) for shell scripts, to be sourced by them.
failed=0 number=0

# check NAME COMMAND: runs a shell command. The check passes if the command ends with 0.
check() {
    number=$((number + 1))
    if output=$(sh -euc "$2" 2>&1); then
        echo "ok $number - $1"
    else
        set -- "$1" $?
        echo "not ok $number - $1"
        printf '%s\n' "$output" "it ended with status $2" | sed 's/^/# /'
        failed=1
    fi
}

# skip NAME REASON: a check that cannot run here.
skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

finish() {
    echo "1..$number"
    exit $failed
}
