"""
What some tests need and a machine may lack; without it they are skipped, with a reason.

``REQUIRE_REAL`` makes such skips failures: ``packages`` those of what the dependency group
``deploy`` installs (``make check`` sets it), ``1`` all.
"""

import importlib
import os
import platform
import shutil
import sys
from typing import Any, NoReturn

import pytest

# The condition of that group in pyproject.toml.
HAS_WHEELS = (sys.platform, platform.machine()) in {
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
}
# Debian keeps programs of administrators where the PATH of others does not lead.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def required_package(module: str) -> Any:
    """Import a module of the dependency group ``deploy``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{error}: `make check` installs it"
        lacking(reason, required=HAS_WHEELS and _wanted() in {"1", "packages"})


def required_program(name: str) -> str:
    """Find a program of the system."""
    program = shutil.which(name, path=_PATH)
    if program is None:
        lacking(f"{name} is not installed")
    return program


def lacking(reason: str, *, required: bool | None = None) -> NoReturn:
    """Skip the test; fail it if what it lacks is required (by default: ``REQUIRE_REAL=1``)."""
    if _wanted() == "1" if required is None else required:
        pytest.fail(reason)
    pytest.skip(reason)


def _wanted() -> str:
    return os.environ.get("REQUIRE_REAL", "")
