"""What the database holds, read and written: repositories, named queries, migrations."""

from server.postgres.queries import queries_of

query = queries_of("server.store")
"""Return a statement of ``sql/*.sql`` by its name."""
