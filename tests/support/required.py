"""
What some tests need and a machine may lack; without it they are skipped, with a reason.

``REQUIRE_REAL`` makes such skips failures: ``packages`` those of what the dependency groups
``deploy`` and ``browser`` install (``make check`` sets it), ``1`` all.
"""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

import pytest

# The conditions of these groups in pyproject.toml.
DEPLOY = frozenset([("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")])
BROWSER = DEPLOY | {("darwin", "x86_64")}
# Debian keeps programs of administrators where the PATH of others does not lead.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def required_package(module: str, group: AbstractSet[tuple[str, str]] = DEPLOY) -> Any:
    """Import a module of a dependency group, which is installed on these systems and machines."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{error}: `make check` installs it"
        has_wheels = (sys.platform, platform.machine()) in group
        lacking(reason, required=has_wheels and _wanted() in {"1", "packages"})


def required_program(*names: str) -> str:
    """Find a program of the system, under the first of these names that there is."""
    found = (shutil.which(name, path=_PATH) for name in names)
    program = next(filter(None, found), None)
    if program is None:
        lacking(f"{' or '.join(names)} is not installed")
    return program


def lacking(reason: str, *, required: bool | None = None) -> NoReturn:
    """Skip the test; fail it if what it lacks is required (by default: ``REQUIRE_REAL=1``)."""
    if _wanted() == "1" if required is None else required:
        pytest.fail(reason)
    pytest.skip(reason)


def _wanted() -> str:
    return os.environ.get("REQUIRE_REAL", "")
