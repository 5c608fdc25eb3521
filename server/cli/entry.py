"""Where the console script enters: the base install is the client only, so what the command needs may be missing."""

import sys

OWN_PACKAGES = frozenset({"server", "graphcore", "depgraph"})


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from server.cli.main import run

        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OWN_PACKAGES:
            raise
        sys.stderr.write(
            f"depgraph: the command needs the server extra ({missing} is missing): pip install 'depgraph[server]'\n"
        )
        return 1
