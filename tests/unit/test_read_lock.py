"""Readers hold the writer up, a waiting writer goes before later readers, and neither starves."""

import asyncio

import pytest

from server.replica.reading import ReadLock


class Story:
    """Readers and writers at work, and what they did, in order."""

    def __init__(self) -> None:
        self.lock = ReadLock()
        self.log: list[str] = []

    async def read(self, name: str, rounds: int) -> None:
        """Read for so many rounds of the event loop."""
        async with self.lock.held():
            self.log.append(f"{name} begins")
            for _ in range(rounds):
                await asyncio.sleep(0)
            self.log.append(f"{name} ends")

    async def write(self, name: str) -> None:
        """Write once."""
        await self.lock.wait_for_readers()
        self.log.append(f"{name} writes")


async def test_without_readers_a_writer_does_not_wait() -> None:
    story = Story()
    writing = story.write("w")
    with pytest.raises(StopIteration):
        writing.send(None)
    assert story.log == ["w writes"]


async def test_readers_share_the_lock_and_the_writer_waits_for_all_of_them() -> None:
    story = Story()
    await asyncio.gather(story.read("a", 3), story.read("b", 5), story.write("w"))
    assert story.log == ["a begins", "b begins", "a ends", "b ends", "w writes"]


async def test_a_reader_waits_for_a_writer_that_waits_already() -> None:
    story = Story()
    await asyncio.gather(story.read("a", 3), story.write("w"), story.read("b", 1))
    assert story.log == ["a begins", "a ends", "w writes", "b begins", "b ends"]


async def test_no_write_happens_while_a_reader_holds_the_lock() -> None:
    story = Story()
    readers = [story.read(f"r{number}", number % 4) for number in range(40)]
    writers = [_write_repeatedly(story, number) for number in range(3)]
    await asyncio.gather(*readers[:20], writers[0], *readers[20:], *writers[1:])
    reading = 0
    for line in story.log:
        reading += line.endswith("begins")
        reading -= line.endswith("ends")
        assert not (reading and line.endswith("writes"))
    assert sum(line.endswith("ends") for line in story.log) == 40
    assert sum(line.endswith("writes") for line in story.log) == 15


async def _write_repeatedly(story: Story, number: int) -> None:
    for _ in range(5):
        await story.write(f"w{number}")
        await asyncio.sleep(0)


async def test_a_cancelled_reader_releases_the_lock() -> None:
    story = Story()
    reading = asyncio.create_task(story.read("a", 10_000))
    await asyncio.sleep(0)
    writing = asyncio.create_task(story.write("w"))
    await asyncio.sleep(0)
    reading.cancel()
    await writing
    assert story.log == ["a begins", "w writes"]


async def test_a_cancelled_writer_lets_readers_in_again() -> None:
    story = Story()
    reading = asyncio.create_task(story.read("a", 5))
    await asyncio.sleep(0)
    writing = asyncio.create_task(story.write("w"))
    await asyncio.sleep(0)
    writing.cancel()
    await story.read("b", 0)
    assert story.log[:3] == ["a begins", "b begins", "b ends"]
    await reading
