"""Rules that every batch keeps before it reaches the database."""

from collections.abc import Callable, Hashable, Iterable

from server.domain.errors import FieldViolation, InvalidInputError


def reject_repeats(keys: Iterable[Hashable], field: Callable[[int], str]) -> None:
    """
    Raise ``InvalidInputError`` when a key comes twice, with a violation for each repetition that names the first.

    ``field`` gives the path of an item by its position. One statement can't write a row twice, and which of the two
    would win is not for the server to guess. O(items).
    """
    keys = list(keys)
    if len(set(keys)) == len(keys):
        return
    first: dict[Hashable, int] = {}
    violations: list[FieldViolation] = []
    for place, key in enumerate(keys):
        earlier = first.setdefault(key, place)
        if earlier != place:
            violations.append(
                FieldViolation(field(place), f"{_readable(key)} was given before, at {field(earlier)}")
            )
    if violations:
        raise InvalidInputError("the batch holds something twice: give each item once", violations=violations)


def _readable(key: Hashable) -> str:
    return " / ".join(key) if isinstance(key, tuple) else str(key)
