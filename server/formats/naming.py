"""Rules that turn what a source calls a workload into the name of a service."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLAIN = "{service}"


@dataclass(frozen=True, slots=True)
class NameRules:
    """
    A template, then rewrites in order.

    - ``template``: such as ``{namespace}/{workload}``; each word in braces is an attribute that the
      source gives of a workload. An attribute that is missing or empty is left out, with the
      separator next to it.
    - ``rewrites``: pattern and replacement (``re.sub``), each applied to the outcome of the former.
    """

    template: str = _PLAIN
    rewrites: tuple[tuple[re.Pattern[str], str], ...] = ()

    def name_of(self, attributes: Mapping[str, str]) -> str:
        """Return the name of a workload; empty = the attributes don't name it. O(rules)."""
        is_plain = self.template == _PLAIN  # the usual one, and nothing to fill
        name = attributes.get("service", "") if is_plain else _filled(self.template, attributes)
        for pattern, replacement in self.rewrites:
            name = pattern.sub(replacement, name)
        return name


def has_attribute(template: str) -> bool:
    """Whether a template has an attribute; without one every service would have the same name."""
    return _PLACE.search(template) is not None


def rewrite_of(pattern: str, replacement: str) -> tuple[re.Pattern[str], str]:
    """Make a rewrite; raises ``ValueError`` for what is no pattern with its replacement."""
    try:
        compiled = re.compile(pattern)
        # Also when nothing matches, it raises for groups that the pattern lacks.
        compiled.sub(replacement, "")
    except (re.error, IndexError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return compiled, replacement


_PLACE = re.compile(r"\{(\w+)\}")
_SEPARATORS = "/.-_:"


def _filled(template: str, attributes: Mapping[str, str]) -> str:
    """Fill the places of a template, from left to right."""
    filled, at = "", 0
    for place in _PLACE.finditer(template):
        between, at = template[at : place.start()], place.end()
        value = attributes.get(place[1], "")
        if not value:
            between = between.rstrip(_SEPARATORS)
        elif not filled:
            between = between.lstrip(_SEPARATORS)
        filled += between + value
    return filled + template[at:]
