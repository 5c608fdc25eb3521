"""A process with a stuck event loop and a short limit to end; prints a line once it is stuck."""

from datetime import timedelta

from server.lifecycle.stopping import StopSignal, run_to_the_end


async def main() -> None:
    stop = StopSignal(timedelta(milliseconds=100))
    stop.listen()
    print("stuck", flush=True)  # noqa: T201 - the test waits for it
    while True:
        pass


if __name__ == "__main__":
    run_to_the_end(main())
