#!/bin/sh
# Make or refresh .venv with everything that developing needs; `make` runs this. PYTHON names another Python.
# Options go to `uv sync`: --group deploy adds that group.
set -eu
. "$(dirname "$0")/environment.sh"
cd "$root"
if ! test -x .venv/bin/python; then
    python=$(find_python)
    echo "setting up .venv with $python ..."
    "$python" -m venv .venv
fi
install_uv .venv
sync .venv/bin/uv sync --locked --all-extras --compile-bytecode --python .venv/bin/python "$@"
