"""
A company whose sources call some services by two names, and many that only look so.

It knows which names are of one service; nothing here knows how names are compared.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord


def _words(text: str) -> list[str]:
    return text.split()


TEAMS = _words(
    "shop billing search media risk fulfilment identity growth maps chat ads finance legal support"
    " data-platform online-retail mobile-bff partner content travel"
)
THINGS = _words(
    "order cart payment invoice catalog price stock shipment customer profile session coupon review rating"
    " message email report ledger quote booking ticket photo video asset recommendation fraud address"
    " account wallet refund voucher campaign audience feed notification image tax fee contract claim route"
    " driver seat menu basket wishlist label return supplier warehouse pallet forecast budget"
)
ROLES = _words(
    "api worker gateway indexer importer exporter scheduler consumer reader writer validator resolver"
    " aggregator mailer sync proxy engine store planner monitor archiver publisher"
)
DETAILS = _words("bulk daily legacy internal public eu us partner trial fast mobile batch stream")
CODENAMES = _words("phoenix atlas zephyr kestrel juniper marlin obsidian tundra cobalt ember falcon heron")
CLUSTERS = ("prod-eu-1", "prod-us-2", "gke-main")
# The share of calls that a source sees.
SEEN = 0.9
SAFE = "bcdfghjklmnpqrstvwxz2456789"

DECLARED = (EdgeFlag.KUBERNETES, EdgeFlag.MANUAL)
OBSERVED = (EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.SERVICE_MESH)


@dataclass
class Workload:
    """A service as it is: where it runs, what it is called there, its names in the graph."""

    number: int
    team: str
    title: str
    names: list[str] = field(default_factory=list)
    calls: "set[Workload]" = field(default_factory=set)
    is_split: bool = False
    """Whether one source reports it under all of its names."""

    # Not that of the object, or sets would have another order each time.
    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class PlantedCompany:
    """About ``size`` services, of which every twelfth has another name; the same for one seed."""

    def __init__(self, size: int, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - the same every time
        self._taken: set[str] = set()
        self.workloads: list[Workload] = []
        self.edges: set[tuple[str, str, EdgeFlag]] = set()
        self._hire(int(size * 0.78))
        self._connect()
        self._decoys()
        self._name()
        self._give_other_names(size)
        self._report()

    @property
    def planted(self) -> set[frozenset[str]]:
        """All pairs of names of one service."""
        return {frozenset(pair) for each in self.workloads for pair in combinations(each.names, 2)}

    def graph(self) -> DependencyGraph:
        """Return the graph that the sources report."""
        names = sorted(name for each in self.workloads for name in each.names)
        self._chance.shuffle(names)
        return DependencyGraph.from_records(
            [ServiceRecord(name, name) for name in names],
            [
                DependencyRecord(number, source, target, int(origin | EdgeFlag.SYNC | EdgeFlag.HARD))
                for number, (source, target, origin) in enumerate(sorted(self.edges))
            ],
        )

    def _hire(self, count: int) -> None:
        """Titles as companies make them; one may occur in two teams."""
        chance, used = self._chance, set[tuple[str, str]]()
        while len(self.workloads) < count:
            words = [chance.choice(THINGS)]
            if chance.random() < 0.8:
                words.append(chance.choice(ROLES))
            if chance.random() < 0.7:
                words.insert(chance.randrange(2), chance.choice(DETAILS))
            if chance.random() < 0.35:
                words.insert(0, chance.choice(THINGS))
            team, title = chance.choice(TEAMS), "-".join(dict.fromkeys(words))
            if (team, title) not in used:
                used.add((team, title))
                self.workloads.append(Workload(len(self.workloads), team, title))

    def _connect(self) -> None:
        """Most calls stay in a team, some go to a few favourites of all."""
        chance, own = self._chance, defaultdict[str, list[Workload]](list)
        for each in self.workloads:
            own[each.team].append(each)
        favourites = chance.sample(self.workloads, 60)
        for each in self.workloads:
            for _ in range(chance.choice((0, 1, 2, 3, 4, 5, 6, 8, 12))):
                pool = chance.choices((own[each.team], self.workloads, favourites), (6, 2, 2))[0]
                each.calls.add(chance.choice(pool))
            each.calls.discard(each)

    def _decoys(self) -> None:
        """Services that look like one and are two."""
        chance, some = self._chance, self._chance.sample(self.workloads, len(self.workloads) // 8)
        for place, each in enumerate(some):
            kind = place % 6
            if kind == 0:  # its database, or cache
                self._add(
                    each, f"{each.title}-{chance.choice(('db', 'cache', 'redis', 'queue'))}", callers=[each]
                )
            elif kind == 1:  # replicas with a name of their own
                ends = chance.choice((("a", "b"), ("1", "2"), ("blue", "green"), ("eu", "us", "ap")))
                callers = [other for other in self.workloads if each in other.calls]
                for end in ends:
                    self._add(each, f"{each.title}-{end}", callers=callers, calls=each.calls)
            elif kind == 2:  # the same title in another team
                team = chance.choice([team for team in TEAMS if team != each.team])
                calls = set(chance.sample(self.workloads, chance.randrange(5)))
                self._add(each, each.title, team=team, calls=calls, callers=chance.sample(self.workloads, 2))
            elif kind == 3:  # nearly the same word
                title = each.title.replace("-", "s-", 1) if "-" in each.title else each.title + "s"
                self._add(each, title, calls=set(chance.sample(self.workloads, 3)))
            elif kind == 4:  # a sibling with the same neighbours
                callers = [other for other in self.workloads if each in other.calls]
                self._add(
                    each,
                    f"{each.title}-{chance.choice(('reader', 'canary', 'jobs'))}",
                    callers=callers,
                    calls=each.calls,
                )
            else:  # what stands before it
                self._add(each, f"{each.title}-{chance.choice(('gateway', 'proxy'))}", calls={each})
        self._mirror(60)
        for title in ("logging", "config", "auth", "metrics"):
            self._add(some[0], title, team="platform", callers=chance.sample(self.workloads, 800))

    def _mirror(self, count: int) -> None:
        """A staging area: a copy of a part of a team, under the same titles."""
        part = [each for each in self.workloads if each.team == "travel"][:count]
        copies = {each: self._add(each, each.title, team="staging") for each in part}
        for each, copy in copies.items():
            copy.calls |= {copies[other] for other in each.calls if other in copies}

    def _add(
        self,
        like: Workload,
        title: str,
        *,
        team: str = "",
        callers: Iterable[Workload] = (),
        calls: Iterable[Workload] = (),
    ) -> Workload:
        added = Workload(len(self.workloads), team or like.team, title, calls=set(calls))
        for caller in callers:
            caller.calls.add(added)
        self.workloads.append(added)
        return added

    def _name(self) -> None:
        """Titles that only one team has are mostly names already."""
        teams = defaultdict[str, int](int)
        for each in self.workloads:
            teams[each.title] += 1
        for each in self.workloads:
            alone = teams[each.title] == 1
            # A source without namespaces calls one of several by the title alone.
            plain = self._chance.random() < (0.75 if alone else 0.25)
            if not (plain and self._take(each, each.title)):
                self._take(each, f"{each.team}/{each.title}")
        self.workloads = [each for each in self.workloads if each.names]
        for each in self.workloads:
            each.calls = {callee for callee in each.calls if callee.names}

    def _take(self, each: Workload, name: str) -> bool:
        if name in self._taken:
            return False
        self._taken.add(name)
        each.names.append(name)
        return True

    def _give_other_names(self, size: int) -> None:
        chance = self._chance
        for each in chance.sample(self.workloads, len(self.workloads)):
            if len(self._taken) >= size:
                break
            for _ in range(1 + (chance.random() < 0.08)):
                self._name_again(each, chance.choice(VARIANTS))

    def _name_again(self, each: Workload, variant: "Variant") -> None:
        if variant is _codename and self._degree(each) < 6:
            return
        if self._take(each, variant(each, self._chance)):
            each.is_split |= variant in {_pod, _version}

    def _degree(self, each: Workload) -> int:
        return len(each.calls) + sum(each in other.calls for other in self.workloads)

    def _report(self) -> None:
        """
        Report the calls: manifests and people under first names, what observes under later ones.

        None sees all there is, each now and then sees what is not.
        """
        chance = self._chance
        for each in self.workloads:
            declaring = chance.choice(DECLARED)
            self._report_calls(each, 0, declaring)
            for rank, (origin, share) in enumerate(zip(OBSERVED, (0.75, 0.1), strict=True), 1):
                if chance.random() < share or len(each.names) > rank:
                    self._report_calls(each, rank, declaring if each.is_split else origin)

    def _report_calls(self, each: Workload, rank: int, origin: EdgeFlag) -> None:
        for callee in self._seen_calls(each):
            source, target = (one.names[min(rank, len(one.names) - 1)] for one in (each, callee))
            if source != target:
                self.edges.add((source, target, origin))

    def _seen_calls(self, each: Workload) -> list[Workload]:
        seen = [callee for callee in each.calls if self._chance.random() < SEEN]
        return seen + [self._chance.choice(self.workloads)] * (self._chance.random() < 0.1)


def _pod(each: Workload, chance: random.Random) -> str:
    ends = "".join(chance.choices(SAFE, k=10)), "".join(chance.choices(SAFE, k=5))
    return "-".join((each.team, each.title, *ends))


def _camel(each: Workload, _: random.Random) -> str:
    return "".join(word.capitalize() for word in each.title.split("-"))


def _version(each: Workload, chance: random.Random) -> str:
    return f"{each.title}-v{chance.randint(2, 5)}"


def _codename(_: Workload, chance: random.Random) -> str:
    return f"{chance.choice(CODENAMES)}-{chance.choice(CODENAMES)}"


Variant = Callable[[Workload, random.Random], str]
VARIANTS: list[Variant] = [
    lambda each, _: f"{each.team}/{each.title}",
    lambda each, _: f"{each.title}.{each.team}.svc.cluster.local",
    lambda each, _: f"{each.title}-service",
    lambda each, _: "_".join(word.capitalize() for word in [*each.title.split("-"), "service"]),
    _version,
    lambda each, _: each.title.replace("-", "") + "service",
    _pod,
    lambda each, _: f"{each.team}.{each.title}",
    lambda each, _: f"{each.title}.{each.team}",
    lambda each, chance: f"{chance.choice(CLUSTERS)}/{each.team}/{each.title}",
    _camel,
    lambda each, chance: f"http://{each.title}.{each.team}:{chance.choice((80, 8080, 9090))}",
    lambda each, _: f"component:default/{each.title}",
    lambda each, _: each.title.upper().replace("-", "_"),
    lambda each, _: f"{each.title}-svc.{each.team}.svc:8080",
    _codename,
]
