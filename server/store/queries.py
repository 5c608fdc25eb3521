"""The repositories' queries, by name."""

from server.queries import queries_of

query = queries_of("server.store")
