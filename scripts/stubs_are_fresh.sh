#!/bin/sh
# Fail when the committed stubs are not what proto/ generates: stubs_are_fresh.sh PROTO...
set -eu
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
sh scripts/generate_stubs.sh "$fresh" "$@"
cp depgraph/v1/__init__.py "$fresh/depgraph/v1/"
if ! diff -r -x __pycache__ "$fresh/depgraph/v1" depgraph/v1; then
    echo "the stubs in depgraph/v1 are not those of proto/: run 'make proto' and commit" >&2
    exit 1
fi
echo "stubs are fresh"
