# For the tests that tests/dist/run starts: from nothing to the first get, as README's table says.

# first_get HOST COMMAND: runs the commands in the row of HOST as they stand there, in a folder that has the files of
# `make dist`, and then COMMAND, which gets a value. Tells how long that took.
first_get() {
    ln -sf /dist/* .
    commands=$(awk -F ' *[|] *' -v host="$1" '$2 == host { print $3 }' /root/README.md | grep -o '`[^`]*`' | tr -d '`')
    begun=$(date +%s.%N)
    check "$1: the commands of README, and a first get" "
        [ '$(printf '%s\n' "$commands" | wc -l)' -le 2 ] # and the last is the third
        $commands
        $2"
    echo "$begun $(date +%s.%N)" | awk -v host="$1" '{ printf "# %.1f s from nothing to the first get: %s\n", $2 - $1, host }'
}

# Everybody is root here.
printf '#!/bin/sh\nexec "$@"\n' >/usr/local/bin/sudo
chmod +x /usr/local/bin/sudo
