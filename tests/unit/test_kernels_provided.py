"""What a starting server does about its kernels, whatever becomes of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from graphcore.compiling import KERNELS, Kernel, Kernels, compile_kernels
from server.lifecycle import kernels as lifecycle
from server.lifecycle.kernels import provide_kernels
from tests.support import tiny_kernels


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The only kernel of the program, not compiled; afterwards everything is as it was."""
    only = Kernels().declare("int64()")(tiny_kernels.five.plain)
    monkeypatch.setattr(KERNELS, "are_compiled", False)
    monkeypatch.setattr(lifecycle, "import_kernels", lambda _: (only,))
    monkeypatch.setattr(lifecycle, "LOADED_AT_START", (only.name,))
    return only


@pytest.fixture
def compiling_in_this_process(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    async def compile_aside(folder: Path) -> None:
        compile_kernels([kernel], folder)

    monkeypatch.setattr(lifecycle, "_compile_aside", compile_aside)


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A folder that can't be made, even by root."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "kernels"


async def provided(*where: Path) -> list[str]:
    """What was logged."""
    looked = asyncio.Event()
    with capture_logs() as logs:
        await provide_kernels(where, looked)
    assert looked.is_set()
    return [f"{line['log_level']}: {line['event'] % line.get('positional_args', ())}" for line in logs]


async def test_kernels_compiled_before_are_loaded(tmp_path: Path, kernel: Kernel) -> None:
    compile_kernels([kernel], tmp_path)
    (line,) = await provided(tmp_path)
    assert line.startswith(f"info: kernels: loaded from {tmp_path} in ")
    assert kernel.run is not kernel.plain
    assert kernel.run() == 5
    assert KERNELS.are_compiled


@pytest.mark.usefixtures("compiling_in_this_process")
async def test_the_first_folder_that_can_be_written_keeps_them(
    tmp_path: Path, kernel: Kernel, no_folder: Path
) -> None:
    lines = await provided(no_folder, tmp_path / "kernels")
    assert [line.partition(" in ")[0] for line in lines] == [
        "info: kernels: compiling aside; answers are slower until then",
        "info: kernels: compiled",
    ]
    assert kernel.run is not kernel.plain
    assert (await provided(tmp_path / "kernels")) == []


async def test_without_a_folder_to_keep_them_kernels_stay_plain(kernel: Kernel, no_folder: Path) -> None:
    (line,) = await provided(no_folder)
    assert line.startswith("warning: kernels: no folder can keep them")
    assert "DEPGRAPH_KERNEL_CACHE" in line
    assert not KERNELS.are_compiled
    assert kernel.run is kernel.plain


@pytest.mark.parametrize("failing", ["import_kernels", "find_compiled", "_compile_aside"])
async def test_a_failure_leaves_kernels_plain_and_is_logged(
    tmp_path: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: Any) -> Any:
        raise ImportError("no such machine")

    monkeypatch.setattr(lifecycle, failing, fail)
    assert (await provided(tmp_path))[-1] == "warning: kernels: not compiled; answers stay slower"
    assert not KERNELS.are_compiled
    assert kernel.run is kernel.plain
