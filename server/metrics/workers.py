"""The figures of all workers of a server as one set, each told apart by the label ``worker``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

LABEL = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkforceFigures:
    """What the supervisor of ``count`` workers knows at one moment; ``restarts``, ``hung`` and ``families`` are by a worker's number."""

    count: int
    serving: int
    restarts: Mapping[int, int]
    hung: Mapping[int, int]
    families: Mapping[int, Sequence[Metric]]


class WorkforceCollector(Collector):
    """Asks once a scrape, on the thread of the scrape."""

    def __init__(self, ask: Callable[[], WorkforceFigures]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        """Yield every figure; those of a worker that does not answer are missing."""
        figures = self._ask()
        yield GaugeMetricFamily("depgraph_workers", "Workers that there should be.", value=figures.count)
        yield GaugeMetricFamily(
            "depgraph_workers_serving", "Workers that answer calls.", value=figures.serving
        )
        yield _by_worker(
            "depgraph_worker_restarts", "Times that a worker was started again.", figures.restarts
        )
        yield _by_worker(
            "depgraph_worker_hangs", "Times that a worker was killed because it did not answer.", figures.hung
        )
        yield from _merged(figures.families)


def _by_worker(name: str, documentation: str, counts: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=(LABEL,))
    for number, count in counts.items():
        family.add_metric((str(number),), count)
    return family


def _merged(families: Mapping[int, Sequence[Metric]]) -> Iterator[Metric]:
    """Put families of one name together, as the format wants them."""
    merged: dict[str, Metric] = {}
    for number, told in families.items():
        for family in told:
            whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {LABEL: str(number)} | sample.labels, sample.value)
    yield from merged.values()
