"""From a file to its JSON document."""

import io
import json
import sys
import zlib
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import Any

GZIP_MAGIC = b"\x1f\x8b"
MAX_DOCUMENT_BYTES = 1024 * 1024 * 1024


class FormatError(ValueError):
    """A file is not what its format says; the message names the entry. Nothing was used."""


def read_file(path: Path) -> bytes:
    """Read a file, or standard input for ``-``."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def json_document(raw: bytes) -> Any:
    """Read JSON, plain or gzip, which its first bytes show; ``FormatError`` otherwise. O(size)."""
    text = _unpacked(raw)
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise FormatError(f"not JSON: byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise FormatError("not a graph: JSON nested too deeply") from None
    except ValueError:
        raise FormatError("not a graph: it holds a number of too many digits") from None


def _unpacked(raw: bytes) -> bytes:
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        # A bounded read: a few hundred kilobytes of gzip can unpack to more than the machine has.
        text = GzipFile(fileobj=io.BytesIO(raw)).read(MAX_DOCUMENT_BYTES + 1)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"damaged gzip: {error}") from None
    if len(text) > MAX_DOCUMENT_BYTES:
        raise FormatError(f"unpacks to more than {MAX_DOCUMENT_BYTES:,} bytes: split it")
    return text
