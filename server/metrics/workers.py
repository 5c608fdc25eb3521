"""The metrics of all workers on one page; the label ``worker`` holds a worker's number."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

LABEL = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkforceMetrics:
    """What a supervisor of ``count`` workers knows; mappings are by a worker's number."""

    count: int
    serving: int = 0
    restarts: Mapping[int, int] = field(default_factory=dict)
    hangs: Mapping[int, int] = field(default_factory=dict)
    families: Mapping[int, Sequence[Metric]] = field(default_factory=dict)


class WorkforceCollector(Collector):
    """Calls ``read`` once a scrape, on the thread of the scrape."""

    def __init__(self, read: Callable[[], WorkforceMetrics]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; those of a worker that does not answer are missing."""
        known = self._read()
        yield GaugeMetricFamily("depgraph_workers", "Workers that there should be.", value=known.count)
        yield GaugeMetricFamily("depgraph_workers_serving", "Workers that answer calls.", value=known.serving)
        yield _by_worker("depgraph_worker_restarts", "Times that a worker was started again.", known.restarts)
        yield _by_worker(
            "depgraph_worker_hangs", "Times that a worker was killed because it did not answer.", known.hangs
        )
        yield from _merged(known.families)


def _by_worker(name: str, documentation: str, counts: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=(LABEL,))
    for number, count in counts.items():
        family.add_metric((str(number),), count)
    return family


def _merged(families: Mapping[int, Sequence[Metric]]) -> Iterator[Metric]:
    """Join families of the same name, as the exposition format requires."""
    merged: dict[str, Metric] = {}
    for number, of_worker in families.items():
        for family in of_worker:
            whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {LABEL: str(number)} | sample.labels, sample.value)
    yield from merged.values()
