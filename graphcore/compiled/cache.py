"""
Compiled kernels in files, one for each set of kernels and platform.

A file is written beside and renamed, so it is whole or not there, whoever else writes. It holds a checksum, an index and object
code. Since that code runs, only files are read that belong to this user or root and can't be written by others. A file that
is broken, foreign or of another format is as good as none.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from graphcore.compiled.folders import first_writable, is_trusted, made
from graphcore.compiled.keys import Key, environment_key, set_key

_MAGIC = b"depgraph kernels 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 4
_KEPT_FILES = 8
_SUFFIX = ".kernels"

Code = dict[str, bytes]
"""Object code by the name of its kernel."""


def packed(code: Mapping[str, bytes], keys: Mapping[str, Key]) -> bytes:
    """Put object code and the keys of its kernels into one piece."""
    index = json.dumps({name: [keys[name], len(each)] for name, each in code.items()}).encode()
    payload = len(index).to_bytes(_LENGTH_BYTES, "big") + index + b"".join(code.values())
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def unpacked(content: bytes, keys: Mapping[str, Key]) -> Code:
    """Take out of one piece what it holds of the kernels with these keys; empty when it is broken."""
    head = len(_MAGIC) + _DIGEST_BYTES
    payload = content[head:]
    if content[:head] != _MAGIC + hashlib.sha256(payload).digest():
        return {}
    at = _LENGTH_BYTES + int.from_bytes(payload[:_LENGTH_BYTES], "big")
    code = {}
    for name, (key, size) in json.loads(payload[_LENGTH_BYTES:at]).items():
        if keys.get(name) == key:
            code[name] = payload[at : at + size]
        at += size
    return code


def find(folders: Iterable[Path], keys: Mapping[str, Key]) -> tuple[Path, Code] | None:
    """Find the file with all the kernels with these keys in the first folder that has it, written or not."""
    for folder in folders:
        path = folder / _file_name(keys)
        code = unpacked(_read(path), keys)
        if code.keys() == keys.keys():
            return path, code
    return None


def find_parts(folders: Iterable[Path], keys: Mapping[str, Key]) -> Code:
    """Gather whatever other files hold of the kernels with these keys, as after a change of some."""
    code: Code = {}
    for folder in folders:
        for path in _files(folder):
            if path.name.startswith(_environment()):
                code = unpacked(_read(path), keys) | code
    return code


def keep(folders: Iterable[Path], code: Mapping[str, bytes], keys: Mapping[str, Key]) -> Path | None:
    """Write a file into the first folder that can be written and say where it is; older files make room."""
    for folder in folders:
        if not made(folder):
            continue
        try:
            path = _write(folder / _file_name(keys), packed(code, keys))
        except OSError:
            continue
        for old in _files(folder)[_KEPT_FILES:]:
            with contextlib.suppress(OSError):
                old.unlink()
        return path
    return None


@contextlib.contextmanager
def only_one(folders: Iterable[Path]) -> Iterator[None]:
    """Wait until no other process is in here with the same first writable folder; does nothing where that can't be had."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl  # noqa: PLC0415 - Windows has none: two processes compile the same there, and neither is harmed

            folder = first_writable(folders)
            if folder is not None:
                lock = stack.enter_context((folder / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file_name(keys: Mapping[str, Key]) -> str:
    return f"{_environment()}-{set_key(dict(keys))}{_SUFFIX}"


def _environment() -> str:
    return environment_key()[:12]


def _read(path: Path) -> bytes:
    """Return what a trusted file in a trusted folder holds; nothing of any other."""
    try:
        if not is_trusted(path.parent.lstat()):
            return b""
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            return file.read() if is_trusted(os.fstat(handle)) else b""
    except OSError:
        return b""


def _write(path: Path, content: bytes) -> Path:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
    return path


def _files(folder: Path) -> list[Path]:
    """List the files of a folder, newest first."""
    try:
        return sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
