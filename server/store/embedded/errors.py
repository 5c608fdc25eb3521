"""What can go wrong with the embedded database; every message is fit to be shown to a person as it is."""

from pathlib import Path


class EmbeddedPostgresError(Exception):
    """The embedded database can't be prepared, started or stopped; says which folder, why, and what to do."""


class DataFolderInUseError(EmbeddedPostgresError):
    """Another service holds the data folder; ``pid`` is its process, None when it has not said so yet."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"the data folder {folder} is in use by {holder}: stop that service, or choose another folder"
        )
        self.folder = folder
        self.pid = pid
