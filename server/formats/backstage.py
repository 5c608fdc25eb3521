"""
Entities of a Backstage catalog: its YAML files, or answers of ``/api/catalog/entities/by-query``.

A catalog that runs computes ``relations`` out of ``spec``; where an entity has them, they count.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_CATALOG,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_QUEUE,
    SERVICE_KIND_UNSPECIFIED,
    ServiceKind,
)
from server.domain.services import name_problem
from server.formats.documents import FormatError, kind_of
from server.formats.naming import NameRules
from server.formats.reading import Call, Draft, Link, Reading, link_problem
from server.formats.servicegraph import DEFAULT_NAMES
from server.formats.yaml_documents import as_text, documents

_SERVICES = ("component", "resource")
_NAMESPACE = "default"
_KINDS = {
    "database": SERVICE_KIND_DATABASE,
    "queue": SERVICE_KIND_QUEUE,
    "message-queue": SERVICE_KIND_QUEUE,
    "topic": SERVICE_KIND_QUEUE,
    "kafka-topic": SERVICE_KIND_QUEUE,
}
# The relation that a field of ``spec`` is, and the kind of a reference in it that names none.
_FIELDS = (
    ("dependsOn", "dependsOn", "component"),
    ("dependencyOf", "dependencyOf", "component"),
    ("consumesApis", "consumesApi", "api"),
    ("providesApis", "providesApi", "api"),
)
_INVERSE = {
    "dependencyOf": "dependsOn",
    "apiConsumedBy": "consumesApi",
    "apiProvidedBy": "providesApi",
}
PAGE_OF_MORE = "This is one page of a catalog that has more entities: fetch the others too."


class _Ref(NamedTuple):
    """What names an entity, as the catalog compares it: in lower case."""

    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Catalog:
    names: NameRules
    draft: Draft
    entities: dict[_Ref, dict[str, Any]] = field(default_factory=dict)
    written: dict[_Ref, str] = field(default_factory=dict)
    providers: dict[_Ref, list[_Ref]] = field(default_factory=dict)
    relations: dict[tuple[_Ref, str, _Ref], None] = field(default_factory=dict)

    def name_of(self, ref: _Ref) -> str:
        name = self.written.get(ref, ref.name)
        return self.names.name_of({"service": name, "namespace": ref.namespace, "kind": ref.kind})


def read_backstage(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read entities, plain or gzip: documents, lists of them, or answers with ``items``. O(size).

    ``FormatError`` when the file has another shape, or no entity at all.
    """
    entities, has_more = entities_of(documents(raw))
    return backstage_reading(entities, names, PAGE_OF_MORE if has_more else "")


def entities_of(found: Iterable[Any]) -> tuple[list[Any], bool]:
    """Return the entities of documents, and whether a page has a next one; see above."""
    entities: list[Any] = []
    has_more = False
    for document in found:
        if isinstance(document, dict) and isinstance(document.get("items"), list):
            entities.extend(document["items"])
            page = document.get("pageInfo")
            has_more = has_more or bool(isinstance(page, dict) and page.get("nextCursor"))
        elif isinstance(document, list):
            entities.extend(document)
        else:
            entities.append(document)
    if not any(_ref_of(entity) for entity in entities):
        what = kind_of(entities[0]) if entities else "an empty list"
        raise FormatError(f"no entity of Backstage: expected kind and metadata.name, found {what}")
    return entities, has_more


def backstage_reading(entities: Iterable[Any], names: NameRules = DEFAULT_NAMES, remark: str = "") -> Reading:
    """
    Return what entities come to: components and resources, and what they depend on. O(entities).

    A component that consumes an API depends on the components that provide it. Names may use
    ``{service}`` (the entity's name), ``{namespace}`` and ``{kind}``. Elements are entities and
    the references between them.
    """
    catalog = _Catalog(names, Draft(DISCOVERY_SOURCE_CATALOG))
    for entity in entities:
        if ref := _ref_of(entity):
            catalog.entities[ref] = entity
            catalog.written[ref] = entity["metadata"]["name"]
        else:
            catalog.draft.skip("no entity: kind or metadata.name is missing")
    for ref, entity in catalog.entities.items():
        catalog.draft.take(_describe(catalog, ref, entity))
        _relate(catalog, ref, entity)
    for source, relation, target in catalog.relations:
        if relation == "providesApi":
            catalog.providers.setdefault(target, []).append(source)
    for source, relation, target in catalog.relations:
        if relation != "providesApi":
            catalog.draft.take(_call(catalog, source, relation, target))
    return catalog.draft.reading(remark)


def _describe(catalog: _Catalog, ref: _Ref, entity: dict[str, Any]) -> Call | str:
    """Add a component or a resource as a service; APIs only connect others."""
    if ref.kind == "api":
        return Call(())
    if ref.kind not in _SERVICES:
        return f"a {ref.kind[:50]!a}, which is no service"
    name = catalog.name_of(ref)
    if problem := name_problem(name):
        return f"a name that {problem}"
    spec = _spec(entity)
    related = list(_relations(entity))
    owner = next((ref.name for kind, ref in related if kind == "ownedBy"), "")
    system = next((ref.name for kind, ref in related if kind == "partOf" and ref.kind == "system"), "")
    metadata = {
        "lifecycle": as_text(spec.get("lifecycle")),
        "system": system or _name_in(spec.get("system")),
        "type": as_text(spec.get("type")),
    }
    kind: ServiceKind.ValueType = SERVICE_KIND_UNSPECIFIED
    if ref.kind == "resource":
        kind = _KINDS.get(metadata["type"].lower(), SERVICE_KIND_UNSPECIFIED)
    catalog.draft.node(
        name,
        kind=kind,
        team=owner or _name_in(spec.get("owner")),
        metadata={key: value for key, value in metadata.items() if value},
    )
    return Call(())


def _relate(catalog: _Catalog, ref: _Ref, entity: dict[str, Any]) -> None:
    """Note what the entity consumes, provides and depends on, each relation once."""
    if ref.kind not in (*_SERVICES, "api"):
        return
    computed = list(_relations(entity))
    for relation, other in computed or _specified(catalog, ref, _spec(entity)):
        direct = _INVERSE.get(relation)
        if direct:
            catalog.relations[other, direct, ref] = None
        elif relation in _INVERSE.values():
            catalog.relations[ref, relation, other] = None


def _call(catalog: _Catalog, source: _Ref, relation: str, target: _Ref) -> Call | str:
    if source.kind not in _SERVICES:
        return f"{relation} of a {source.kind[:50]!a}, which is no service"
    if relation == "dependsOn":
        if target.kind not in _SERVICES:
            return f"dependsOn names the kind {target.kind[:50]!a}, which is no service"
        callees = [target]
    elif target.kind != "api":
        return f"consumesApis names the kind {target.kind[:50]!a}, which is no API"
    else:
        callees = catalog.providers.get(target, [])
        if not callees:
            return "consumesApis names an API that no component here provides"
    links = [Link(catalog.name_of(source), catalog.name_of(callee)) for callee in callees]
    problems = [link_problem(*link[:2]) for link in links]
    usable = tuple(link for link, problem in zip(links, problems, strict=True) if not problem)
    return Call(usable) if usable else str(problems[0])


def _ref_of(entity: Any) -> _Ref | None:
    """Return what names an entity; None = it is none."""
    metadata = entity.get("metadata") if isinstance(entity, dict) else None
    if not isinstance(metadata, dict):
        return None
    kind, name = entity.get("kind"), metadata.get("name")
    if not isinstance(kind, str) or not isinstance(name, str) or not kind or not name:
        return None
    namespace = metadata.get("namespace")
    return _Ref(kind.lower(), as_text(namespace).lower() or _NAMESPACE, name.lower())


def _relations(entity: dict[str, Any]) -> Iterator[tuple[str, _Ref]]:
    """Yield what the catalog has computed; older catalogs write ``target`` as an object."""
    relations = entity.get("relations")
    for each in relations if isinstance(relations, list) else ():
        if not isinstance(each, dict):
            continue
        reference = each.get("targetRef")
        if reference is None and isinstance(target := each.get("target"), dict):
            parts = (as_text(target.get(part)) for part in ("kind", "namespace", "name"))
            reference = "{}:{}/{}".format(*parts)
        if parsed := _parsed(reference, "", _NAMESPACE):
            yield as_text(each.get("type")), parsed[0]


def _specified(catalog: _Catalog, ref: _Ref, spec: dict[str, Any]) -> Iterator[tuple[str, _Ref]]:
    """Yield the relations that an entity's author wrote; keeps how names of others are written."""
    for name, relation, kind in _FIELDS:
        references = spec.get(name)
        for reference in references if isinstance(references, list) else ():
            parsed = _parsed(reference, kind, ref.namespace)
            if parsed is None:
                catalog.draft.skip(f"{name} holds what is no reference kind:namespace/name")
            else:
                catalog.written.setdefault(*parsed)
                yield relation, parsed[0]


def _parsed(reference: Any, kind: str, namespace: str) -> tuple[_Ref, str] | None:
    """Read ``[kind:][namespace/]name``; also returns the name as it is written."""
    if not isinstance(reference, str):
        return None
    before, colon, rest = reference.rpartition(":")
    space, slash, name = rest.rpartition("/")
    found = _Ref((before if colon else kind).lower(), (space if slash else namespace).lower(), name.lower())
    return (found, name) if all(found) else None


def _name_in(reference: Any) -> str:
    parsed = _parsed(reference, "group", _NAMESPACE)
    return parsed[1] if parsed else ""


def _spec(entity: dict[str, Any]) -> dict[str, Any]:
    spec = entity.get("spec")
    return spec if isinstance(spec, dict) else {}
