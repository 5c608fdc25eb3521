"""The console script ``depgraph``, which is also ``python -m server.cli``."""

import json
import sys
from importlib import metadata

from server.cli import collect_garbage_rarely

OWN_PACKAGES = frozenset({"server", "graphcore", "depgraph"})
FAILED = 1


def main() -> int:
    """Run the command line; returns the exit code. The base install can only print its version."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"depgraph {metadata.version('depgraph')}\n")
        return 0
    collect_garbage_rarely()
    try:
        from server.cli.main import run

        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OWN_PACKAGES:
            raise
        sys.stderr.write(
            f"depgraph: the command needs the server extra ({missing} is missing): "
            f"pip install '{requirement('server')}'\n"
        )
        return FAILED


def requirement(extra: str) -> str:
    """Name this package with an extra as pip takes it, from where it was installed (PEP 610)."""
    origin = json.loads(metadata.distribution("depgraph").read_text("direct_url.json") or "{}")
    if not origin:
        return f"depgraph[{extra}]"
    version_control = origin.get("vcs_info", {})
    kind = f"{version_control['vcs']}+" if version_control else ""
    commit = f"@{version_control['commit_id']}" if version_control else ""
    return f"depgraph[{extra}] @ {kind}{origin['url']}{commit}"


if __name__ == "__main__":
    sys.exit(main())
