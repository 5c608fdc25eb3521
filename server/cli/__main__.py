"""The console script ``depgraph``, which is also ``python -m server.cli``."""

import sys

OWN_PACKAGES = frozenset({"server", "graphcore", "depgraph"})


def main() -> int:
    """Run the command line; returns the exit code. Says how to install the server extra."""
    try:
        from server.cli.main import run

        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OWN_PACKAGES:
            raise
        sys.stderr.write(
            f"depgraph: the command needs the server extra ({missing} is missing): "
            "pip install 'depgraph[server]'\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
