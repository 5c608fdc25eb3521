#!/bin/bash
# Exit 0 while the server of this container serves. Every ten seconds a shell is affordable, a Python is not.
set -eu
address=${DEPGRAPH_METRICS_LISTEN:?names no address}
host=${address%:*}
case $host in 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
host=${host#[} host=${host%]}
exec 3<>"/dev/tcp/$host/${address##*:}"
printf 'HEAD /healthz HTTP/1.0\r\n\r\n' >&3
read -r _ code _ <&3
test "$code" = 200
