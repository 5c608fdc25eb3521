"""Names in answers: data from others, written so that they can't pass for words of an answer."""

import json
import re
from collections.abc import Sequence

# What stands for itself: no white space, quote, backslash or separator of ours.
_PLAIN = re.compile(r"[^\s\"\\,;→…]+")
_NOTHING = "-"
_MAX_PATH, _FIRST, _LAST = 8, 4, 3


def quoted(name: str) -> str:
    r"""
    Write a name or team; as a JSON string where it has more than plain characters.

    So ``checkout`` stays as it is, and ``a b`` becomes ``"a b"``, a line break ``\n`` in quotes.
    """
    if _PLAIN.fullmatch(name) and name.isprintable() and name != _NOTHING:
        return name
    text = json.dumps(name, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def path(names: Sequence[str]) -> str:
    """Write a path of calls, a long one without its middle: ``a → b → c → d → … → x → y → z``."""
    shown = [quoted(name) for name in names]
    if len(names) <= _MAX_PATH:
        return " → ".join(shown)
    return " → ".join([*shown[:_FIRST], f"… {len(names) - _FIRST - _LAST:,} more …", *shown[-_LAST:]])


def cycle(names: Sequence[str]) -> str:
    """Write a cycle: its first service once more at the end."""
    return path([*names, *names[:1]])


def listed(names: Sequence[str], total: int, most: int = 5) -> str:
    """Write at most ``most`` names, and how many of ``total`` are left out."""
    shown = [quoted(name) for name in names[:most]]
    rest = total - len(shown)
    return ", ".join([*shown, f"and {rest:,} more"] if rest > 0 else shown)


def _escaped(character: str) -> str:
    """Write a character as JSON does: one beyond the first plane takes two escapes."""
    return json.dumps(character)[1:-1]
