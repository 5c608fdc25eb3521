"""A process whose event loop is stuck, and that has a moment to end once it is asked to; prints a line once it is stuck."""

from datetime import timedelta

from server.lifecycle.stopping import StopSignal, run_to_the_end


async def main() -> None:
    stop = StopSignal(timedelta(milliseconds=100))
    stop.listen()
    print("stuck", flush=True)  # noqa: T201 - it is waited for
    while True:
        pass


if __name__ == "__main__":
    run_to_the_end(main())
