"""What a starting server does about its kernels, whatever becomes of it."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from graphcore.compiled import KERNELS, Kernel, Kernels, KernelState, compile_and_keep, kernel_state
from server.lifecycle import kernels as lifecycle
from server.lifecycle.kernels import kernel_folders, provide_kernels
from tests.support import tiny_kernels

PLAIN = KernelState(compiled=False, told="not compiled yet")


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The only kernel of the program, not compiled; afterwards everything is as it was."""
    book = Kernels()
    only = book.declare("int64()")(tiny_kernels.five.plain)
    monkeypatch.setattr(KERNELS, "state", PLAIN)
    monkeypatch.setattr(KERNELS, "_by_name", {only.name: only})
    monkeypatch.setattr(lifecycle, "import_kernels", lambda _: (only,))
    return only


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel: Kernel) -> None:
    """What the process aside hands over; it kept nothing."""
    _, packed = compile_and_keep([kernel], [tmp_path / "aside"], lambda _: None)

    async def compiled_aside(_: Sequence[Path]) -> bytes:
        return packed

    monkeypatch.setattr(lifecycle, "_compiled_aside", compiled_aside)


async def provided(where: Iterable[Path]) -> tuple[list[str], bool]:
    """What was logged, and whether those who wait were let go."""
    looked = asyncio.Event()
    with capture_logs() as logs:
        await provide_kernels(list(where), looked)
    return [
        f"{line['log_level']}: {line['event'] % line.get('positional_args', ())}" for line in logs
    ], looked.is_set()


async def test_what_was_compiled_before_is_loaded(tmp_path: Path, kernel: Kernel) -> None:
    path, _ = compile_and_keep([kernel], [tmp_path], lambda _: None)
    lines, let_go = await provided([tmp_path])
    assert len(lines) == 1
    assert lines[0].startswith(f"info: kernels: loaded from {path} in ")
    assert let_go
    assert kernel.run() == 5
    assert kernel.run is not kernel.plain


@pytest.mark.usefixtures("handed_over")
async def test_what_no_folder_keeps_runs_compiled_and_is_told(tmp_path: Path, kernel: Kernel) -> None:
    lines, let_go = await provided([tmp_path / "empty"])
    assert [line.partition(" in ")[0] for line in lines[:2]] == [
        "info: kernels: compiling aside; answers are slower until then",
        "info: kernels: compiled",
    ]
    assert lines[2].startswith("warning: kernels: no folder can keep them")
    assert "DEPGRAPH_KERNEL_CACHE" in lines[2]
    assert let_go
    assert kernel_state().compiled
    assert kernel.run is not kernel.plain


async def test_without_numba_kernels_stay_plain(
    tmp_path: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "find_spec", lambda _: None)
    lines, let_go = await provided([tmp_path])
    assert lines == ["warning: kernels: not compiled; answers stay slower"]
    assert let_go
    assert kernel_state() == KernelState(compiled=False, told="numba is not installed")
    assert kernel.run is kernel.plain


@pytest.mark.parametrize("failing", ["import_kernels", "load_kept", "_compiled_aside"])
async def test_no_failure_goes_any_further(
    tmp_path: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: Any) -> Any:
        raise ImportError("no such machine")

    monkeypatch.setattr(lifecycle, failing, fail)
    lines, let_go = await provided([tmp_path])
    assert lines[-1] == "warning: kernels: not compiled; answers stay slower"
    assert let_go
    assert kernel_state().told == "ImportError: no such machine"
    assert kernel.run is kernel.plain


async def test_kernels_that_run_compiled_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KERNELS, "state", KernelState(compiled=True, told="before"))
    assert await provided([tmp_path]) == ([], True)


def test_a_data_folder_is_not_made_for_kernels(tmp_path: Path) -> None:
    without = kernel_folders(None, tmp_path / "data")
    (tmp_path / "data").mkdir()
    assert set(kernel_folders(None, tmp_path / "data")) - set(without) == {
        tmp_path / "data" / "depgraph-kernels"
    }
