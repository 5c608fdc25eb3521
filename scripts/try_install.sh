#!/bin/sh
# Install the server as the Dockerfile does and serve from it once; leaves nothing behind.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'kill "$server" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
server=
# From elsewhere, so that what answers is what was installed and not this checkout.
checkout=$PWD
cd "$folder"
PYTHON=${PYTHON:-$checkout/.venv/bin/python} sh "$checkout/scripts/install_server.sh" depgraph
"$folder/depgraph/bin/depgraph" serve --listen "unix:$folder/socket" --data-dir "$folder/data" >"$folder/out" 2>"$folder/err" &
server=$!
for _ in $(seq 600); do
    grep -q '^serving on ' "$folder/out" && break
    kill -0 "$server" 2>/dev/null || { cat "$folder/err" >&2; exit 1; }
    sleep 0.1
done
grep -q "kernels: loaded from $folder" "$folder/err" || { echo "what was installed had no kernels compiled:" >&2; cat "$folder/err" >&2; exit 1; }
"$folder/depgraph/bin/depgraph" status --address "unix:$folder/socket" >/dev/null
# Ends with its input, and fails without the extra.
"$folder/depgraph/bin/depgraph" mcp </dev/null
kill -TERM "$server"
wait "$server"
server=
echo "the installed server served, was healthy and stopped"
