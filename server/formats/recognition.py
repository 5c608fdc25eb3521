"""Which format a file has, by what is in it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from server.formats.backstage import read_backstage
from server.formats.documents import FormatError, json_document, kind_of, looks_like, unpacked
from server.formats.exported import is_exported
from server.formats.jaeger import read_jaeger
from server.formats.kiali import read_kiali
from server.formats.kubernetes import read_kubernetes
from server.formats.naming import NameRules
from server.formats.otlp_file import read_otlp
from server.formats.prometheus import read_prometheus
from server.formats.reading import Reading
from server.formats.servicegraph import DEFAULT_NAMES
from server.formats.yaml_documents import documents

Format = Literal["backstage", "jaeger", "json", "kiali", "kubernetes", "otlp", "prometheus", "zipkin"]
FORMATS: tuple[Format, ...] = get_args(Format)
READERS: Mapping[str, Callable[[bytes, NameRules], Reading]] = {
    "backstage": read_backstage,
    "jaeger": read_jaeger,
    "kiali": read_kiali,
    "kubernetes": read_kubernetes,
    "otlp": read_otlp,
    "prometheus": read_prometheus,
    "zipkin": read_jaeger,
}
"""The readers of each format but ``json``, the project's own, which ``native`` reads."""

_LOOKS_LIKE: Mapping[Format, str] = {
    "backstage": "a catalog of Backstage",
    "jaeger": "dependencies of Jaeger or Zipkin",
    "json": "a graph in depgraph's own format",
    "kiali": "a graph of Kiali",
    "kubernetes": "manifests of Kubernetes",
    "otlp": "metrics of OpenTelemetry (OTLP)",
    "prometheus": "an answer of Prometheus",
}
_BACKSTAGE = "backstage.io/"


def format_of(raw: bytes) -> Format:
    """
    Return the format of a file, plain or gzip; ``FormatError`` says what it looks like instead.

    Looks at the first document that has content. O(that document).
    """
    document = _first(raw)
    found = _recognised(document)
    if found is None:
        formats = ", ".join(FORMATS)
        raise FormatError(f"this is none of the formats {formats}: found {kind_of(document)}")
    return found


def read(form: Format, raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """Read a file of any format but ``json``; an error says what else it looks like."""
    try:
        return READERS[form](raw, names)
    except FormatError as error:
        raise with_hint(error, form, raw) from None


def with_hint(error: FormatError, form: Format, raw: bytes) -> FormatError:
    """Add which format the file looks like, if that is another one than ``form``."""
    try:
        found = format_of(raw)
    except FormatError:
        return error
    if READERS.get(found) is READERS.get(form):
        return error
    return FormatError(f"{error}; this looks like {_LOOKS_LIKE[found]}: depgraph import {found} FILE")


def _first(raw: bytes) -> Any:
    try:
        document = next(documents(raw), None)
    except FormatError:
        if looks_like(unpacked(raw)) == "YAML":
            raise
        return json_document(raw)  # whose error says what else the file looks like
    if document is None:
        raise FormatError("the file holds nothing")
    return document if isinstance(document, dict | list) else json_document(raw)


def _recognised(document: Any) -> Format | None:
    if isinstance(document, list):
        return _recognised_list(document)
    if not isinstance(document, dict):
        return None
    if "kind" in document and "apiVersion" in document:
        return _recognised_object(document)
    if isinstance(items := document.get("items"), list) and items:
        return _recognised_list(items)
    return next((form for form, is_it in _SIGNS if is_it(document)), None)


def _recognised_object(entity: dict[str, Any]) -> Format:
    items = entity.get("items")
    inside = items[0] if isinstance(items, list) and items else None
    if isinstance(inside, dict) and "apiVersion" in inside:
        return _recognised_object(inside)
    return "backstage" if str(entity.get("apiVersion")).startswith(_BACKSTAGE) else "kubernetes"


def _recognised_list(entries: list[Any]) -> Format | None:
    first = entries[0] if entries else None
    if not isinstance(first, dict):
        return None
    if "parent" in first and "child" in first:
        return "jaeger"
    return _recognised(first)


def _is_own(document: dict[str, Any]) -> bool:
    """Tell the project's own format; Jaeger's calls can stand under ``dependencies``, too."""
    entries = document.get("dependencies")
    first = entries[0] if isinstance(entries, list) and entries else None
    is_calls = isinstance(first, dict) and "parent" in first
    return (is_exported(document) and not is_calls) or not _OWN_FIELDS.isdisjoint(document)


_OWN_FIELDS = {"discovery_source", "discoverySource", "nodes", "edges"}
_SIGNS: tuple[tuple[Format, Callable[[dict[str, Any]], bool]], ...] = (
    ("kiali", lambda document: isinstance(document.get("elements"), dict)),
    ("otlp", lambda document: "resourceMetrics" in document),
    ("prometheus", lambda document: "status" in document and not {"data", "errorType"}.isdisjoint(document)),
    ("json", _is_own),
    ("jaeger", lambda document: not {"data", "dependencies"}.isdisjoint(document)),
)
