"""A pull in a process of its own, so that no call of the server waits for it."""

import asyncio
import contextlib
import os
import pickle
import signal
import sys
from asyncio.subprocess import PIPE

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from server.sources.pulls import gather
from server.sources.schedule import Gathered
from server.sources.source import PullError, Source

COMMAND = (sys.executable, "-P", "-m", "server.sources.apart")

# Beside the time for answers; a rewrite can take for ever (``(a+)+$``).
_MOST_SECONDS = 300
_MOST_ANSWERS = 10
_NICENESS = 5
# The server writes so many in two milliseconds, for which calls wait.
_MAX_ITEMS = 500


async def gather_apart(source: Source, most_seconds: int = 0) -> Gathered:
    """
    Do as ``gather`` does, in a process that ends with this task; raises ``PullError``.

    In a thread, an answer that is parsed would hold the interpreter for a tenth of a second and
    more. A pull is ended after ``most_seconds``, 0 = five minutes and the time of ten answers.
    """
    limit = most_seconds or _MOST_SECONDS + _MOST_ANSWERS * int(source.timeout.total_seconds())
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        # Modules are found where we found ours, whatever the current folder.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        # Ctrl-C reaches the server alone, which ends its pulls: that is no failure of the source.
        start_new_session=True,
    )
    try:
        outcome, said = await process.communicate(pickle.dumps((source, limit)))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == -signal.SIGALRM:
        raise PullError(f"took longer than {limit:,} s: see the answers, and the rules for names")
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise PullError(f"the process of the pull ended with {process.returncode}: {last or 'no words'}")
    gathered = pickle.loads(outcome)  # noqa: S301 - of our own process
    if isinstance(gathered, str):
        raise PullError(gathered)
    element_count, skipped_count, reports = gathered
    return Gathered(element_count, skipped_count, map(IngestGraphRequest.FromString, reports))


def main() -> None:
    """Read a source and a limit from standard input; write what became of it to standard output."""
    source, limit = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the server
    # The system ends the process then, also where no code of Python runs, and without a server.
    signal.alarm(limit)
    os.nice(_NICENESS)
    outcome: object
    try:
        element_count, skipped_count, reports = asyncio.run(gather(source, _MAX_ITEMS))
        outcome = element_count, skipped_count, [report.SerializeToString() for report in reports]
    except PullError as error:
        outcome = str(error)
    pickle.dump(outcome, sys.stdout.buffer)


if __name__ == "__main__":
    main()
