"""
Names of services as sources write them, taken apart into a core and what stands around it.

Sources call one workload by many names: ``checkout``, ``shop/checkout``, ``Checkout_Service``,
``checkout.shop.svc.cluster.local:8080``, ``checkout-v2``, ``shop-checkout-7d9f8b6c5d-x2x4q``. All
have the core ``checkout``. Around it stand *qualifiers* (namespaces, clusters), versions, words
that say nothing (service, svc) and the random endings of pods.

Whether ``shop`` in ``shop-checkout`` is a namespace can't be seen from that name. It can be learned
from others: ``shop/cart`` says so. A name may be read in several ways then; each is a form.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

WORDLESS = frozenset({"service", "svc", "srv", "microservice", "deployment"})
"""Words at the end or the beginning of a name that say nothing."""
# What stands where a namespace would, and says nothing: catalogues write "default" everywhere.
_NO_QUALIFIERS = {"", "default", *WORDLESS}

# What Kubernetes makes random parts of names of: no vowels, and no digits that look like letters.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = re.compile(rf"-{_RANDOM}{{8,10}}(-{_RANDOM}{{5}})?$")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ENTITY = re.compile(r"^(component|resource|service|deployment):", re.IGNORECASE)
_PORT = re.compile(r":\d{1,5}$")
_CLUSTER_DNS = re.compile(r"\.svc(\.[a-z0-9.-]+)?\.?$", re.IGNORECASE)
_ADDRESS = re.compile(r"^[\d.]+$|^[0-9a-f]*:[0-9a-f:]+$", re.IGNORECASE)
# Hosts of the internet: their labels are no namespaces.
_PUBLIC = re.compile(r"\.(com|net|org|io|dev|cloud|co|ai|app)$", re.IGNORECASE)
_VERSION_AT_END = re.compile(r"(?<!\d)[-_.:@/](v?\d+\.\d+(?:\.\d+)*|v\d{1,4})$", re.IGNORECASE)
# Dots within numbers separate no labels.
_NUMBER = re.compile(r"\d\.\d")
# Words in capitals, words, numbers, and what is no separator, such as the signs of "c++".
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+(?:\.\d+)*|[^\W\d_]+|[^\w\s./:@-]+")
_LEAST_CORE = 2
# A label of dotted names that stands beside so many others on one side is a namespace.
_LEAST_PARTNERS = 3
_MOST_QUALIFIER_WORDS = 3


class NameForm(NamedTuple):
    """
    A way to read a name.

    ``key`` is the core without case and separators. ``is_sure``: the qualifiers stand apart in the
    name. ``left_out`` says in words what was folded away.
    """

    key: str
    qualifiers: frozenset[str]
    version: str
    is_sure: bool
    left_out: tuple[str, ...]


class _Parts(NamedTuple):
    """A name in parts: core and qualifiers if that is certain, else ``labels`` by dots."""

    core: str
    qualifiers: tuple[str, ...]
    labels: tuple[str, ...]


class NameForms:
    """Reads names, after learning from all of them what namespaces there are. O(characters)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._known: set[str] = set()
        self._learn(map(_parts, names))

    def of(self, name: str) -> tuple[NameForm, ...]:
        """Read a name in every way that makes sense, the likeliest first."""
        parts = _parts(name)
        if parts.labels:
            return self._of_labels(parts.labels)
        if parts.qualifiers:
            return self._of_core(parts.core, parts.qualifiers, is_sure=True)
        return self._of_core(parts.core, (), is_sure=True)

    def _learn(self, names: Iterable[_Parts]) -> None:
        firsts: defaultdict[str, set[str]] = defaultdict(set)
        lasts: defaultdict[str, set[str]] = defaultdict(set)
        for parts in names:
            self._known.update(map(squeezed, parts.qualifiers))
            if len(parts.labels) > 1:
                first, last = squeezed(parts.labels[0]), squeezed(parts.labels[-1])
                firsts[first].add(last)
                lasts[last].add(first)
        for partners in (firsts, lasts):
            self._known.update(label for label, some in partners.items() if len(some) >= _LEAST_PARTNERS)
        self._known -= _NO_QUALIFIERS

    def _of_labels(self, labels: tuple[str, ...]) -> tuple[NameForm, ...]:
        """Read ``checkout.shop`` or ``shop.checkout``: the core is what is no known namespace."""
        strange = [place for place, label in enumerate(labels) if squeezed(label) not in self._known]
        if len(strange) == 1:
            [place] = strange
        elif not strange:
            place = 0
        else:
            return self._of_core("-".join(labels), (), is_sure=False)
        rest = labels[:place] + labels[place + 1 :]
        return self._of_core(labels[place], rest, is_sure=False)

    def _of_core(self, core: str, around: tuple[str, ...], *, is_sure: bool) -> tuple[NameForm, ...]:
        words, version, left_out = _stripped(core)
        qualifiers = frozenset(squeezed(each) for each in around) - _NO_QUALIFIERS
        if around:
            left_out = (f"namespace {'/'.join(around)}", *left_out)
        whole = NameForm("".join(words), qualifiers, version, is_sure, left_out)
        for count in range(min(len(words) - 1, _MOST_QUALIFIER_WORDS), 0, -1):
            prefix, rest = "".join(words[:count]), "".join(words[count:])
            if prefix in self._known and len(rest) >= _LEAST_CORE and not rest.isdigit():
                if around:
                    # ``shop/shop-cart``. In ``shop/data-cart`` nothing says that "data" is one.
                    is_own = prefix in qualifiers
                    return (whole._replace(key=rest, is_sure=False) if is_own else whole,)
                out = (f"namespace {prefix}", *left_out)
                return whole, whole._replace(
                    key=rest, qualifiers=frozenset((prefix,)), is_sure=False, left_out=out
                )
        return (whole,)


def squeezed(text: str) -> str:
    """Fold case and separators of a text."""
    return "".join(words_of(text))


def words_of(name: str) -> list[str]:
    """Split a name where separators stand, or case or digits begin, into folded words."""
    return [word.casefold() for word in _WORDS.findall(name)]


def _parts(name: str) -> _Parts:
    text = _SCHEME.sub("", name)
    if text != name:
        text = text.partition("/")[0]
    text = _ENTITY.sub("", text)
    if _ADDRESS.match(text.partition("/")[0]) or _ADDRESS.match(_PORT.sub("", text)):
        return _Parts(name, (), ())
    text = _PORT.sub("", text)
    if dns := _CLUSTER_DNS.search(text):
        core, *rest = text[: dns.start()].split(".")
        return _Parts(core, tuple(rest), ())
    version = _VERSION_AT_END.search(text)
    end = text[version.start() :] if version else ""
    head = text.removesuffix(end)
    if "/" in head:
        *rest, core = [each for each in head.split("/") if each] or [head]
        return _Parts(core + end, tuple(rest), ())
    if "." in head and not (_PUBLIC.search(head) or _NUMBER.search(head)):
        *rest, last = [each for each in head.split(".") if each] or [head]
        return _Parts("", (), (*rest, last + end)) if rest else _Parts(last + end, (), ())
    return _Parts(text, (), ())


def _stripped(core: str) -> tuple[list[str], str, tuple[str, ...]]:
    """Take what says nothing off a core; returns its words, its version and what was left out."""
    left_out: list[str] = []
    text = core
    pod = _POD.search(text)
    if pod and any(each.isdigit() for each in pod[0]) and pod.start() >= _LEAST_CORE:
        text = text[: pod.start()]
        left_out.append("the random ending of a pod")
    version = ""
    if (found := _VERSION_AT_END.search(text)) and found.start() >= _LEAST_CORE:
        text, version = text[: found.start()], found[1].casefold()
    words = words_of(text) or [text.casefold()]
    if not version and len(words) > 1 and words[-2].endswith("v") and words[-1].isdigit():
        words, version = _without_version(words)
    if version:
        left_out.append(f"version {version}")
    words, wordless = _without_wordless(words)
    left_out += wordless
    return words, version, tuple(left_out)


def _without_version(words: list[str]) -> tuple[list[str], str]:
    """Take a version that no separator sets off, as in ``CheckoutV2``, off the end of words."""
    rest = [*words[:-2], words[-2][:-1]] if len(words[-2]) > 1 else words[:-2]
    if len("".join(rest)) < _LEAST_CORE:
        return words, ""
    return rest, f"v{words[-1]}"


def _without_wordless(words: list[str]) -> tuple[list[str], Sequence[str]]:
    left_out: list[str] = []
    while len(words) > 1:
        if words[-1] in WORDLESS and _says_something(words[:-1]):
            *words, word = words
        elif words[0] in WORDLESS and _says_something(words[1:]):
            word, *words = words
        else:
            break
        left_out.append(f"the word {word}")
    for word in ("microservice", "service", "svc"):
        # ``checkoutservice``.
        rest = words[-1].removesuffix(word)
        if rest != words[-1] and _says_something([*words[:-1], rest]):
            words = [*words[:-1], rest] if rest else words[:-1]
            left_out.append(f"the word {word}")
            break
    return words, left_out


def _says_something(words: Sequence[str]) -> bool:
    joined = "".join(words)
    return len(joined) >= _LEAST_CORE and not joined.isdigit()
