"""Our own reasons not to use a database; messages say what to do and hold no password."""


class UnusableDatabaseError(Exception):
    """The database can't be used the way it was given; ``advice`` says what to do about it."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice


class DatabaseUrlError(UnusableDatabaseError, ValueError):
    """The URL is malformed, or asks for something that this program can't do."""


class SharedSessionsError(UnusableDatabaseError):
    """
    A pooler gives the transactions of one connection different sessions.

    LISTEN, locks and settings get lost then.
    """

    def __init__(self) -> None:
        super().__init__(
            "a connection pooler gives each transaction another session of the server "
            "(transaction or statement pooling)",
            "let the pooler pool by session for this database (PgBouncer: pool_mode=session), "
            "or give the URL of the server itself",
        )


class ReadOnlyAndEmptyError(UnusableDatabaseError):
    """The schema is missing, and the session is read-only, so migrations can't run."""

    def __init__(self) -> None:
        super().__init__(
            "the schema is missing, and default_transaction_read_only is on for the role or database",
            "ALTER ROLE … RESET default_transaction_read_only (or ALTER DATABASE …), "
            "then run 'depgraph migrate up'",
        )


class PoolerFullError(UnusableDatabaseError):
    """A pooler had no second session to give, so how it pools can't be found out."""

    def __init__(self) -> None:
        super().__init__(
            "the connection pooler has no free session of the server",
            "let it open 40 for each process of depgraph (PgBouncer: default_pool_size), "
            "or give the URL of the server itself",
        )
