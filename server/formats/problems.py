"""What is wrong with a file."""


class FormatError(ValueError):
    """A file is not what its format says. The message names the entry and what to do; nothing of the file was used."""
