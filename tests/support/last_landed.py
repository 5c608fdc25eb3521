"""The version before this one, to run beside it: sources from git, packages of this environment."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from zipfile import ZipFile

from tests.support.command import ROOT, clean_environment
from tests.support.folders import open_folder
from tests.support.required import lacking
from tests.support.serving import Program

# A version with a new migration moves this on to the version landed before it: docs/upgrade.md.
LAST_LANDED = "138c3bb8156077b65484ec94024263010267edcc"
PACKAGES = ("depgraph", "graphcore", "server")
# The old program proves that it is the old one: this folder's packages are installed as well.
# Without numba its kernels stay plain Python: a test must not wait for a minute of compiling.
LAUNCHER = f"""
import importlib, runpy, sys
folder = sys.argv.pop(1)
sys.modules["numba"] = None
for name in {PACKAGES}:
    found = importlib.import_module(name).__path__[0]
    assert found.startswith(folder), f"{{name}} was found in {{found}}, not in {{folder}}"
runpy.run_module("server.cli", run_name="__main__", alter_sys=True)
"""


@contextmanager
def last_landed() -> Iterator[Program]:
    """Put the sources of the version before into a new folder; returns how to run it."""
    sources = _sources()
    with open_folder() as folder:
        with ZipFile(BytesIO(sources)) as archive:
            archive.extractall(folder)
        yield Program(
            (sys.executable, "-P", "-c", LAUNCHER, str(folder)),
            folder,
            clean_environment() | {"PYTHONPATH": str(folder)},
        )


def _sources() -> bytes:
    """Archive the packages of that version; if git lacks it, skip, or fail where that is set."""
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", LAST_LANDED, *PACKAGES]
    try:
        archived = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode().strip() or error
        lacking(f"version {LAST_LANDED[:7]} is not to be had from git (a shallow clone?): {said}")
    return archived.stdout
