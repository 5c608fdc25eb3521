"""
Exit 0 if this Python can run depgraph, else say in one sentence why not.

With ``--shared`` also warn if other users can't run this Python. The classifiers in pyproject.toml
say which versions do. All code is syntax of Python 2.7, so that old versions reach the sentence.
"""

import io
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with io.open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as project:
    found = re.findall(r'"Programming Language :: Python :: 3\.([0-9]+)"', project.read())
if not found:
    sys.exit("pyproject.toml has no classifiers of the form Programming Language :: Python :: 3.N")
oldest, newest = min(map(int, found)), max(map(int, found))
needed = "depgraph needs Python 3.%d to 3.%d" % (oldest, newest)
running = sys.version_info[:2]
if not (3, oldest) <= running <= (3, newest):
    which = "old" if running < (3, oldest) else "new"
    sys.exit("%s, and %s is too %s: Python %d.%d" % (needed, sys.executable, which, running[0], running[1]))

import stat
from importlib.util import find_spec
from pathlib import Path

missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
if missing:
    sys.exit("%s with venv, and %s has no %s: install python3-venv" % (needed, sys.executable, missing[0]))
if "--shared" in sys.argv:
    program = Path(sys.executable).resolve()
    for folder in reversed(program.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            sys.stderr.write(
                "warning: only its owner can run the installed server: other users can't enter "
                "%s, which holds %s (PYTHON=... names another)\n" % (folder, program)
            )
            break
