"""Names as they are, on one line, whatever they hold."""


def printable(text: str) -> str:
    r"""Replace what a terminal would act on or not show (control, bidirectional, separators …) by ``\x1b``-like escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def visible(name: str) -> str:
    """Show a name so that two different ones never look the same: like ``printable``, with backslashes doubled."""
    return printable(name.replace("\\", "\\\\"))


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Say how many: ``1 service``, ``21,808 services``, ``2 dependencies``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def _escaped(character: str) -> str:
    # Lone surrogates have no UTF-8; "backslashreplace" gives their escape and leaves nothing else to encode.
    return character.encode("unicode_escape").decode("ascii")
