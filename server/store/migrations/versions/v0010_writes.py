"""An account of the calls that wrote."""

from server.store.migrations.versions import steps_of

revision = "0010"
down_revision = "0009"
upgrade, downgrade = steps_of("0010_writes")
