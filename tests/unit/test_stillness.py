"""Readers hold the writer up, the writer goes before readers who come later, and neither waits for good."""

import asyncio

import pytest

from server.replica.stillness import Stillness


class Story:
    """Readers and writers at work, and what they did, in order."""

    def __init__(self) -> None:
        self.stillness = Stillness()
        self.told: list[str] = []

    async def read(self, name: str, turns: int) -> None:
        """Read for so many turns of the event loop."""
        async with self.stillness.kept():
            self.told.append(f"{name} begins")
            for _ in range(turns):
                await asyncio.sleep(0)
            self.told.append(f"{name} ends")

    async def write(self, name: str) -> None:
        """Write once."""
        await self.stillness.over()
        self.told.append(f"{name} writes")


async def test_with_nobody_there_a_writer_does_not_wait() -> None:
    story = Story()
    writing = story.write("w")
    with pytest.raises(StopIteration):
        writing.send(None)
    assert story.told == ["w writes"]


async def test_readers_read_side_by_side_and_the_writer_after_them() -> None:
    story = Story()
    await asyncio.gather(story.read("a", 3), story.read("b", 5), story.write("w"))
    assert story.told == ["a begins", "b begins", "a ends", "b ends", "w writes"]


async def test_a_reader_who_comes_after_a_waiting_writer_goes_after_it() -> None:
    story = Story()
    await asyncio.gather(story.read("a", 3), story.write("w"), story.read("b", 1))
    assert story.told == ["a begins", "a ends", "w writes", "b begins", "b ends"]


async def test_no_write_falls_into_a_read_however_they_come() -> None:
    story = Story()
    readers = [story.read(f"r{number}", number % 4) for number in range(40)]
    writers = [_every_turn(story, number) for number in range(3)]
    await asyncio.gather(*readers[:20], writers[0], *readers[20:], *writers[1:])
    reading = 0
    for line in story.told:
        reading += line.endswith("begins")
        reading -= line.endswith("ends")
        assert not (reading and line.endswith("writes"))
    assert sum(line.endswith("ends") for line in story.told) == 40
    assert sum(line.endswith("writes") for line in story.told) == 15


async def _every_turn(story: Story, number: int) -> None:
    for _ in range(5):
        await story.write(f"w{number}")
        await asyncio.sleep(0)


async def test_a_reader_who_is_cancelled_holds_nobody_up() -> None:
    story = Story()
    reading = asyncio.create_task(story.read("a", 10_000))
    await asyncio.sleep(0)
    writing = asyncio.create_task(story.write("w"))
    await asyncio.sleep(0)
    reading.cancel()
    await writing
    assert story.told == ["a begins", "w writes"]


async def test_a_writer_who_is_cancelled_lets_readers_in_again() -> None:
    story = Story()
    reading = asyncio.create_task(story.read("a", 5))
    await asyncio.sleep(0)
    writing = asyncio.create_task(story.write("w"))
    await asyncio.sleep(0)
    writing.cancel()
    await story.read("b", 0)
    assert story.told[:3] == ["a begins", "b begins", "b ends"]
    await reading
