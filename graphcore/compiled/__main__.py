"""Compile the kernels of packages and keep them: ``python -m graphcore.compiled PACKAGE ...``."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from graphcore.compiled.folders import usual_folders
from graphcore.compiled.parts import KernelError
from graphcore.compiled.start import compile_and_keep, import_kernels

_LOWEST_PRIORITY = 19


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 = they are compiled, 1 = one of them can't be."""
    parser = argparse.ArgumentParser(prog="python -m graphcore.compiled", description=__doc__)
    parser.add_argument("packages", nargs="+", help="packages to look for kernels in")
    parser.add_argument("--folder", action="append", type=Path, help="where to look and keep, best first")
    parser.add_argument(
        "--aside",
        action="store_true",
        help="give way to other processes and write the code to standard output",
    )
    options = parser.parse_args(arguments)
    if options.aside:
        with contextlib.suppress(AttributeError, OSError):
            os.nice(_LOWEST_PRIORITY)
    where = usual_folders() if options.folder is None else options.folder
    try:
        _, content = compile_and_keep(import_kernels(options.packages), where, _tell, alone=options.aside)
    except KernelError as error:
        _tell(str(error))
        return 1
    if options.aside:
        sys.stdout.buffer.write(content)
    return 0


def _tell(sentence: str) -> None:
    sys.stderr.write(f"kernels: {sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
