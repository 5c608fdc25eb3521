#!/bin/sh
# Install the server with exactly the versions of uv.lock, and nothing for developers: install_server.sh FOLDER
# Works from any folder. Compiles bytecode and kernels (for any processor of this architecture)
# beside the program, where its user may be unable to write.
# The Dockerfile runs this, and `make package` proves it. PYTHON names another Python.
set -eu
test $# = 1 || { echo "usage: install_server.sh FOLDER" >&2; exit 2; }
. "$(dirname "$0")/environment.sh"
python=$(find_python)
"$python" "$root/scripts/check_python.py" --shared
"$python" -m venv "$1"
target=$(cd "$1" && pwd)
# uv in a folder of its own: what is installed for good does not need it.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
install_uv "$tools"
export UV_PROJECT_ENVIRONMENT="$target"
sync "$tools/bin/uv" sync --project "$root" --locked --extra server --extra tracing --extra mcp --no-default-groups --no-editable --compile-bytecode --python "$target/bin/python"
"$target/bin/depgraph" compile
