"""``h2load`` of nghttp2 as a gRPC client: written in C, it costs the machine little beside the server that it asks."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

from bench.core_clients import Answered, ClientsFailedError, Shape
from bench.frames import PREFIX_BYTES, message

_COUNTS = re.compile(
    r"finished in [^,]+, (?P<rate>[\d.]+) req/s.*?"
    r"(?P<succeeded>\d+) succeeded.*?"
    r"status codes: (?P<good>\d+) 2xx.*?"
    r"\((?P<data_bytes>\d+)\) data",
    re.DOTALL,
)
_PATIENCE_SECONDS = 120


def is_installed() -> bool:
    return shutil.which("h2load") is not None


@dataclass(frozen=True)
class H2load:
    """Each ``ask`` opens its connections anew, which counts."""

    address: str
    method: str
    shape: Shape

    def ask(self, request: bytes, calls: int) -> Answered:
        """
        All of the calls, so many at a time; raises ``ClientsFailedError`` unless HTTP says that each was answered.

        An error of gRPC is a success of HTTP without any data: whoever knows how long right answers are sees it in ``answer_bytes``.
        """
        with NamedTemporaryFile() as body:
            body.write(message(request))
            body.flush()
            # What it finds wrong is in what it prints.
            done = subprocess.run(
                self._command(body.name, calls),
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        counts = _COUNTS.search(done.stdout)
        if counts is None or int(counts["succeeded"]) != calls or int(counts["good"]) != calls:
            raise ClientsFailedError(f"h2load:\n{done.stdout}{done.stderr}")
        return Answered(calls / float(counts["rate"]), int(counts["data_bytes"]) - PREFIX_BYTES * calls)

    def _command(self, body: str, calls: int) -> list[str]:
        sizes = [f"--clients={self.shape.connections}", f"--max-concurrent-streams={self.shape.each}"]
        headers = ["--header=te: trailers", "--header=content-type: application/grpc"]
        url = f"http://{self.address}{self.method}"
        return ["h2load", *sizes, *headers, f"--requests={calls}", f"--data={body}", url]
