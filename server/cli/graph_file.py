"""The graph that a user names for import: a file or a URL, in any format, as reports to send."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from server.cli.failures import CommandError, InputError, read_input
from server.domain.reports import OBSERVATION_GRANULARITY
from server.domain.services import name_problem
from server.formats.documents import FormatError, json_document
from server.formats.exported import GraphRows, is_exported, read_exported
from server.formats.naming import NameRules, has_attribute, rewrite_of
from server.formats.native import count_items, read_native
from server.formats.reading import Skipped
from server.formats.recognition import FORMATS, Format, format_of, read, with_hint

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 256 * 1024 * 1024
"""The most that a URL may answer, unpacked from what HTTP packs it in."""
FETCH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports of a file, what of it could not be used, and what a person should know."""

    form: Format
    reports: list[IngestGraphRequest]
    element_count: int = 0
    skipped: tuple[Skipped, ...] = ()
    remark: str = ""


def named(given: Sequence[str]) -> tuple[Format | None, str]:
    """Tell ``[FORMAT] FILE|URL`` apart; raises ``typer.BadParameter``."""
    *formats, place = given
    if len(formats) > 1:
        raise typer.BadParameter("give at most a format and one file or URL", param_hint="'FILE|URL'")
    if not formats:
        if place in FORMATS and not Path(place).exists():
            raise typer.BadParameter(f"a file or URL is missing after {place}", param_hint="'FILE|URL'")
        return None, place
    for form in FORMATS:
        if form == formats[0]:
            return form, place
    raise typer.BadParameter(f"{formats[0]!r} is not one of {', '.join(FORMATS)}", param_hint="'FORMAT'")


def name_rules(template: str, rewrites: Sequence[str]) -> NameRules:
    """Read the options of names; raises ``typer.BadParameter``."""
    if not has_attribute(template):
        raise typer.BadParameter(
            "names no attribute in braces: all services would have one name", param_hint="'--name-template'"
        )
    return NameRules(template, tuple(_rewrite(each) for each in rewrites))


def _rewrite(given: str) -> tuple[re.Pattern[str], str]:
    pattern, equals, replacement = given.partition("=")
    problem: object = "give PATTERN=REPLACEMENT"
    if equals and pattern:
        try:
            return rewrite_of(pattern, replacement)
        except ValueError as error:
            problem = error
    raise typer.BadParameter(f"{given!r}: {problem}", param_hint="'--rewrite'")


def read_graph(form: Format | None, place: str, names: NameRules) -> GraphRows | Reports:
    """Read the file or URL in its format, or the one that its content shows."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place):
        return read_input(Path(place), lambda raw: _read(form, raw, names))
    raw = fetched(place)
    try:
        return _read(form, raw, names)
    except FormatError as error:
        raise InputError(f"{without_secrets(place)}: {error}") from None


def attribute(content: Reports, place: str, reporter: str | None) -> None:
    """Name the reporter of each report that names none, and the granularity of observations."""
    whence = (urlsplit(place).hostname or "") if "://" in place else Path(place).name
    default = f"{content.form} {whence}"
    if place == "-" or name_problem(default):
        default = content.form
    for report in content.reports:
        if reporter is not None or not report.reporter:
            report.reporter = default if reporter is None else reporter
        if not report.HasField("observation_granularity"):
            report.observation_granularity.FromTimedelta(OBSERVATION_GRANULARITY)


def _read(form: Format | None, raw: bytes, names: NameRules) -> GraphRows | Reports:
    form = format_of(raw) if form is None else form
    if form == "json":
        try:
            if is_exported(json_document(raw)):
                return read_exported(raw)
            reports = read_native(raw)
            return Reports(form, reports, count_items(reports))
        except FormatError as error:
            raise with_hint(error, form, raw) from None
    reading = read(form, raw, names)
    reading.report.details.CopyFrom(reading.details())
    return Reports(form, [reading.report], reading.element_count, reading.skipped, reading.remark)


def fetched(url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """
    Get what a URL answers, within bounds of size and time; raises ``CommandError``.

    Only http and https. Credentials have no place in a URL, which every user of the machine sees.
    """
    import httpx  # no other command needs it, and it takes a tenth of a second

    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"not a URL: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise InputError(f"{without_secrets(url)}: only http:// and https:// are fetched")
    if parts.username or parts.password:
        raise InputError(
            f"{without_secrets(url)}: a URL must hold no credentials, which others on this machine could "
            "see; use 'depgraph sync', which reads them from a file"
        )
    try:
        # httpx by itself would not trust the authorities that the system does.
        trusted = ssl.create_default_context()
        with (
            httpx.Client(verify=trusted, timeout=seconds, follow_redirects=True, max_redirects=5) as client,
            client.stream("GET", url, headers={"user-agent": "depgraph"}) as answer,
        ):
            return _content(answer, url, monotonic() + seconds)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        problem = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in problem:
            problem += "; SSL_CERT_FILE names a PEM file of authorities to trust"
        raise CommandError(f"{without_secrets(url)}: {problem}") from None


def _content(answer: "httpx.Response", url: str, deadline: float) -> bytes:
    if not answer.is_success:
        raise CommandError(
            f"{without_secrets(url)}: HTTP {answer.status_code} {answer.reason_phrase}".rstrip()
        )
    content = bytearray()
    for part in answer.iter_bytes():
        content += part
        if len(content) > MAX_BYTES:
            raise CommandError(f"{without_secrets(url)}: the answer has more than {MAX_BYTES:,} bytes")
        if monotonic() > deadline:
            raise CommandError(f"{without_secrets(url)}: no whole answer in time")
    return bytes(content)


def without_secrets(url: str) -> str:
    """Return a URL without credentials and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
