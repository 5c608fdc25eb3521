"""Words for what is not known, and for catalogues."""

from server.store.migrations.versions import steps_of

revision = "0011"
down_revision = "0010"
upgrade, downgrade = steps_of("0011_unknown_words")
