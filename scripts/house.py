"""
Measure how large and how plain the code is, now and at earlier revisions.

``python scripts/house.py [REVISION ...]`` prints a table with a column for each revision and one
for the working tree. Generated code never counts; tests count only where a row says so.
"""

import ast
import io
import re
import subprocess
import sys
import tarfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONG_FUNCTION_LINES = 30
SHORT_FILE_LINES = 40
PROSE_COLUMNS = 100
GENERATED = "depgraph/v1/"
TESTS = "tests/"
PRIVATE_WORDS = re.compile(r"\b(told|nobody|somebody)\b", re.IGNORECASE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class SourceFile:
    """A text file of one revision."""

    path: str
    text: str

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_test(self) -> bool:
        return self.path.startswith(TESTS)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def function_lines(self) -> Iterator[int]:
        """Yield the number of lines of each function, nested ones included."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1

    def prose_lines(self) -> Iterator[str]:
        """Yield the lines of docstrings and comments, or of Markdown outside tables and code."""
        if not self.is_python:
            yield from _markdown_prose(self.lines)
            return
        for node in ast.walk(self.tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                yield from self.lines[docstring.lineno - 1 : docstring.end_lineno]
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
                yield token.line.rstrip("\n")


def main() -> None:
    """Print the table."""
    columns = {revision: archived_files(revision) for revision in sys.argv[1:]}
    columns["working tree"] = tracked_files()
    measured = {name: measurements(files) for name, files in columns.items()}
    rows = [["", *measured]]
    rows += [[row, *(column[row] for column in measured.values())] for row in measured["working tree"]]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for label, *cells in rows:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print(label.ljust(widths[0]), *aligned, sep="  ")


def measurements(files: list[SourceFile]) -> dict[str, str]:
    """Return the cells of one column by the label of their row."""
    code = [file for file in files if file.is_python and not file.is_test]
    short = sum(len(file.lines) < SHORT_FILE_LINES for file in code)
    longest = max(code, key=lambda file: len(file.lines))
    long = sum(lines > LONG_FUNCTION_LINES for file in code for lines in file.function_lines())
    words = sum(len(PRIVATE_WORDS.findall(file.text)) for file in files if not file.is_test)
    long_prose = sum(len(line) > PROSE_COLUMNS for file in files for line in file.prose_lines())
    return {
        "Python files": f"{len(code):,}",
        "Python lines": f"{sum(len(file.lines) for file in code):,}",
        f"files under {SHORT_FILE_LINES} lines": f"{short:,}",
        "longest file": f"{len(longest.lines):,} {Path(longest.path).name}",
        f"functions over {LONG_FUNCTION_LINES} lines": f"{long:,}",
        "told, nobody, somebody": f"{words:,}",
        f"prose lines over {PROSE_COLUMNS} columns, tests included": f"{long_prose:,}",
    }


def tracked_files() -> list[SourceFile]:
    """Read the files of the working tree that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, text=True).stdout
    paths = (Path(name) for name in listed.split("\0") if _is_measured(name))
    return [SourceFile(str(path), path.read_text()) for path in paths if path.exists()]


def archived_files(revision: str) -> list[SourceFile]:
    """Read the files of a revision."""
    packed = subprocess.run(["git", "archive", revision], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return [
            SourceFile(member.name, opened.read().decode())
            for member in archive
            if _is_measured(member.name) and (opened := archive.extractfile(member)) is not None
        ]


def _is_measured(path: str) -> bool:
    return path.endswith((".py", ".md")) and not path.startswith(GENERATED)


def _markdown_prose(lines: list[str]) -> Iterator[str]:
    in_code = False
    for line in lines:
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith("|"):
            yield line


if __name__ == "__main__":
    main()
