#!/bin/sh
# Compare the contract with main's, or, on main itself, with the commit before: buf_breaking.sh BUF
set -eu
if [ "$(git rev-parse HEAD)" = "$(git rev-parse --verify --quiet main || true)" ] && git diff --quiet HEAD -- proto; then
    base=HEAD~1
else
    base=main
fi
if ! git cat-file -e "$base:buf.yaml" 2>/dev/null; then
    echo "buf breaking: $base holds no contract to compare with"
    exit 0
fi
"$1" breaking --against ".git#ref=$(git rev-parse "$base")" && echo "buf breaking: nothing broken since $base"
