# Sourced after page.sh: $python runs Python with the package, and with what is in requirements.txt here.
cd "$root" || exit 1
. bindings/python/environment
{ cat "$env/made-of" tests/hosts/requirements.txt; } >"$tmp/wanted"
if ! cmp -s "$tmp/wanted" "$dir/hosts/made-of"; then
    rm -rf "$dir/hosts"
    "$env/bin/python" -m pip install --quiet --no-deps --target "$dir/hosts" --require-hashes -r tests/hosts/requirements.txt
    cp "$tmp/wanted" "$dir/hosts/made-of"
fi
export PYTHONPATH="$dir/hosts"
python=$env/bin/python
cd "$tmp" || exit 1
