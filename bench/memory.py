"""How much memory a process takes, at most, since a moment."""

from pathlib import Path


class MemoryWatch:
    """Sizes are MiB, and count from what the process takes when the watch is made."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak = Path(f"/proc/{pid}/clear_refs")
        self.rest = self._read("VmRSS")

    def begin(self) -> None:
        """Forget the peak so far: Linux tells the next one exactly, however short it is."""
        self._peak.write_text("5")

    def above_rest(self) -> float:
        return self._read("VmRSS") - self.rest

    def peak(self) -> float:
        return self._read("VmHWM") - self.rest

    def _read(self, name: str) -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024
