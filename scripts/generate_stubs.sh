#!/bin/sh
# Generate Python stubs with type hints into a folder: generate_stubs.sh FOLDER PROTO...
set -eu
out=$1
shift
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m grpc_tools.protoc -I proto \
    --python_out="$out" --grpc_python_out="$out" --mypy_out="quiet:$out" --mypy_grpc_out="quiet:$out" "$@"
# A file without services needs no stub for services.
for module in types errors; do rm -f "$out/depgraph/v1/${module}_pb2_grpc.py" "$out/depgraph/v1/${module}_pb2_grpc.pyi"; done
