"""The repositories' queries, by name."""

from server.postgres.queries import queries_of

query = queries_of("server.store")
