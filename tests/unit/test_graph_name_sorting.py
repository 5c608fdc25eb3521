"""No I/O: names are sorted as Python sorts them, however many there are."""

import random

import pytest

from graphcore.graph import name_order as name_sorting
from graphcore.graph.name_order import name_order, sorted_names
from tests.support.kernel_forms import FORMS, kernels_in_form

LETTERS = "ab\u00e9\u03a9\ud7ff\ue000\U0001f600 ~"


def names(count: int) -> list[str]:
    chooser = random.Random(count)  # noqa: S311 - the same names each time
    return ["".join(chooser.choices(LETTERS, k=chooser.randrange(1, 12))) for _ in range(count)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3, 500])
def test_the_kernel_sorts_as_python_does(form: str, count: int) -> None:
    given = names(count)
    with kernels_in_form(form):
        order = name_order(given).tolist()
    assert [given[place] for place in order] == sorted(given)


@pytest.mark.parametrize("count", [0, 10, 800])
def test_few_names_and_many_are_sorted_alike(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(name_sorting, "_WORTH_A_KERNEL", 100)
    assert sorted_names(names(count)) == sorted(names(count))
