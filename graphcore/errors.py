"""What can go wrong when the graph is asked or changed."""


class UnknownServiceError(LookupError):
    """The graph holds no service of this name or key."""

    def __init__(self, wanted: object) -> None:
        super().__init__(f"no service {wanted!r} in the graph")
        self.wanted = wanted


class DuplicateNameError(ValueError):
    """A change set would leave two services with one name; nothing of it was applied."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"two services would be called {name!r}; names are unique, so rename or remove one of them"
        )
        self.name = name
