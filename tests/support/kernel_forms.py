"""Kernels in either of their forms, for tests that must hold in both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore.compiling import KERNELS
from tests.support.examples import examples

FORMS = ("plain", "compiled")
# One example in so many runs the plain form of kernels.
PLAIN_SHARE = 5


@contextmanager
def kernels_in_form(form: str) -> Iterator[None]:
    """Let kernels run as plain Python, or compiled, or skip the test if they are not compiled."""
    if form == "compiled":
        if not KERNELS.are_compiled:
            pytest.skip("kernels are not compiled")
        yield
        return
    former, were_compiled = [(kernel, kernel.run) for kernel in KERNELS], KERNELS.are_compiled
    KERNELS.are_compiled = False
    for kernel in KERNELS:
        kernel.run = kernel.plain
    try:
        yield
    finally:
        for kernel, run in former:
            kernel.run = run
        KERNELS.are_compiled = were_compiled


def given_in_both_forms(
    compiled_examples: int, *strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """
    Decorate a property as ``hypothesis.given`` does, and draw the form of kernels in each example.

    To ``compiled_examples`` come a quarter as many with the plain form.
    """

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        def in_some_form(form: str, drawn: tuple[Any, ...]) -> None:
            with kernels_in_form(form):
                check(*drawn)

        # The name under which pytest and the examples kept by hypothesis know it.
        in_some_form.__name__, in_some_form.__qualname__ = check.__name__, check.__qualname__
        in_some_form.__module__, in_some_form.__doc__ = check.__module__, check.__doc__
        count = compiled_examples * PLAIN_SHARE // (PLAIN_SHARE - 1)
        form = st.integers(1, PLAIN_SHARE).map(_form)
        return examples(count)(given(form, st.tuples(*strategies))(in_some_form))

    return decorate


def _form(number: int) -> str:
    return "plain" if number == PLAIN_SHARE or not KERNELS.are_compiled else "compiled"
