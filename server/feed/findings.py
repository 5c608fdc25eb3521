"""What a look at a database or a server found."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was looked at: ``check`` is its name, ``found`` what it is like and what that means, ``advice`` what to do.

    *Bad* needs somebody's care, a *note* is worth knowing.
    """

    check: str
    severity: Severity
    found: str
    advice: str = ""
