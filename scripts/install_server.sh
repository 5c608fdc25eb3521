#!/bin/sh
# Install the server with exactly the versions of uv.lock, and nothing for developers: install_server.sh FOLDER
# Compiles bytecode and kernels (for any processor of this architecture) beside the program, where
# its user may be unable to write.
# The Dockerfile runs this, `make package` proves it, and it works on any machine with Python >= 3.11.
set -eu
target=$1
"${PYTHON:-python3}" -m venv "$target"
# uv in a folder of its own: what is installed for good does not need it.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
UV_PROJECT_ENVIRONMENT="$target" VIRTUAL_ENV='' UV_PYTHON_DOWNLOADS=never \
    "$tools/bin/uv" sync --quiet --locked --extra server --no-default-groups --no-editable --compile-bytecode --python "$target/bin/python"
"$target/bin/depgraph" compile
