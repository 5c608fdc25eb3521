"""
Timeouts and retries of Istio's VirtualService and the Gateway API's HTTPRoute and GRPCRoute.

A route says how the callers of its callees call, whoever they are; a route of a gateway is taken to
count for all callers, as if all came through it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from depgraph.v1.dependency_service_pb2 import CalleePolicy
from depgraph.v1.types_pb2 import RetryConfig
from server.domain.services import name_problem
from server.formats.reading import SELF_CALL
from server.formats.yaml_documents import as_text

ROUTES = ("VirtualService", "HTTPRoute", "GRPCRoute")
MAX_RETRIES = 100
_MAX_MILLISECONDS = 2**31 - 1
_MAX_LENGTH = 50
_UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0, "us": 0.001, "µs": 0.001, "ns": 0.000001}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|us|µs|ns|h|m|s)")

Named = Callable[[str, str], str]
"""Names the service that a host, as an object of a namespace writes it, stands for."""


class _Rule(NamedTuple):
    """What a rule says of a call: time of all tries, time of one, retries; None = nothing."""

    timeout: Any
    try_timeout: Any
    attempts: Any


def policies_of(
    kind: str, route: dict[str, Any], namespace: str, named: Named
) -> Iterator[CalleePolicy | str]:
    """Yield a policy for each callee of each rule, or the reason why there is none. O(rules)."""
    spec = route.get("spec")
    rules = (
        spec.get("http" if kind == "VirtualService" else "rules") if isinstance(spec, dict) else None
    ) or []
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            read = _virtual_service if kind == "VirtualService" else _gateway_api
            yield from read(rule, namespace, named)


def _virtual_service(rule: dict[str, Any], namespace: str, named: Named) -> Iterator[CalleePolicy | str]:
    retries = rule.get("retries")
    retries = retries if isinstance(retries, dict) else {}
    said = _Rule(rule.get("timeout"), retries.get("perTryTimeout"), retries.get("attempts"))
    destinations = [each.get("destination") for each in _dicts(rule.get("route"))]
    callees = {as_text(each.get("host")): None for each in destinations if isinstance(each, dict)}
    for host in callees:
        callers = _callers(rule, namespace, named)
        for caller in callers:
            yield _policy(said, named(host, namespace), caller)


def _callers(rule: dict[str, Any], namespace: str, named: Named) -> list[str]:
    """Name the callers that a rule is limited to by ``sourceLabels``; empty text = all."""
    matches = list(_dicts(rule.get("match")))
    apps = {
        as_text(each["sourceLabels"].get("app")) if isinstance(each.get("sourceLabels"), dict) else ""
        for each in matches
    }
    return [named(app, namespace) for app in sorted(apps)] if apps and "" not in apps else [""]


def _gateway_api(rule: dict[str, Any], namespace: str, named: Named) -> Iterator[CalleePolicy | str]:
    timeouts, retry = rule.get("timeouts"), rule.get("retry")
    timeouts = timeouts if isinstance(timeouts, dict) else {}
    attempts = retry.get("attempts") if isinstance(retry, dict) else None
    said = _Rule(timeouts.get("request"), timeouts.get("backendRequest"), attempts)
    for backend in _dicts(rule.get("backendRefs")):
        if backend.get("kind", "Service") != "Service":
            yield f"a route to a {as_text(backend.get('kind'))[:50]!a}, which is no Service"
        else:
            space = as_text(backend.get("namespace")) or namespace
            yield _policy(said, named(as_text(backend.get("name")), space), "")


def _policy(said: _Rule, callee: str, caller: str) -> CalleePolicy | str:
    if problem := name_problem(callee) or (name_problem(caller) if caller else None):
        return f"a route to a name that {problem}"
    if callee == caller:
        return SELF_CALL
    try:
        timeout, try_timeout = milliseconds(said.timeout), milliseconds(said.try_timeout)
    except ValueError:
        return "a route whose timeout is no duration"
    retries = said.attempts
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, int) or retries < 0):
        return "a route whose retries are no whole number"
    if timeout is None and try_timeout is not None:
        # Without a bound on the whole, all tries together take as long as they may.
        timeout = min(try_timeout * (1 + (retries or 0)), _MAX_MILLISECONDS)
    if timeout is None and retries is None:
        return "a route that sets neither a timeout nor retries"
    retry_config = RetryConfig(max_retries=min(retries, MAX_RETRIES)) if retries is not None else None
    return CalleePolicy(
        target_service_id=callee, source_service_id=caller, timeout_ms=timeout, retry_config=retry_config
    )


def milliseconds(duration: Any) -> int | None:
    """
    Read a duration as Go writes it (``1m30s``, ``0.5s``), at least 1 ms.

    None = none is given, or 0, which means no bound. ``ValueError`` if it is something else.
    """
    if duration is None:
        return None
    text = as_text(duration)
    if text == "0":
        return None
    if len(text) > _MAX_LENGTH:
        raise ValueError(text)
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(text)
    total = sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    return min(max(1, round(total)), _MAX_MILLISECONDS) if total > 0 else None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()
