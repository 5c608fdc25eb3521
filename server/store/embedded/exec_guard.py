"""
A script that gives up root's rights, ties its life to its parent's, and becomes PostgreSQL.

A forked function would do the same, but may deadlock in a program with threads. Arguments: our
process id, uid and gid to become (``-`` = stay), then the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, uid: str, gid: str, *command: str) -> None:
    """Become the command; never returns."""
    os.umask(0o077)
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After the change of user, which forgets it. SIGINT is a fast shutdown: nothing committed
        # is lost.
        if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
            sys.exit("prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != int(parent):
            sys.exit("the service that wanted a database is gone")
    os.execv(command[0], command)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
