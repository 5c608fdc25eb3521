"""No I/O: what --stale-after, --confidence-half-life and --sweep-interval accept, and that a refusal names the flag."""

import pickle
from datetime import timedelta

import pytest
import typer

from server.cli.validation import checked_staleness
from server.config import Settings, StalenessSettings


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    settings = checked_staleness([f"kubernetes={text}"], [f"service_mesh={text}"], text)

    assert settings == StalenessSettings(
        stale_after={"kubernetes": length}, half_life={"service_mesh": length}, sweep_interval=length
    )


def test_each_source_has_its_own_and_none_means_not_at_all() -> None:
    settings = checked_staleness(["manual=none", "otel_service_graph=7d"], ["manual=none"], "1m")

    assert settings.stale_after == {"manual": None, "otel_service_graph": timedelta(days=7)}
    assert settings.half_life == {"manual": None}
    assert settings.is_active


def test_without_a_flag_nothing_is_swept() -> None:
    assert checked_staleness(None, None, "1m") == StalenessSettings()
    assert not StalenessSettings().is_active


@pytest.mark.parametrize("flag", ["--stale-after", "--confidence-half-life"])
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["7d"], "expected SOURCE=DURATION with one of the sources manual, otel_service_graph, kubernetes"),
        (["rumour=7d"], "'rumour=7d': expected SOURCE=DURATION"),
        (["=7d"], "expected SOURCE=DURATION"),
        (["Manual=7d"], "expected SOURCE=DURATION"),
        (["manual=7d", "manual=8d"], "'manual=8d': manual was given before"),
        (["manual="], "'' is no duration: expected a whole number and a unit, such as 90s, 30m"),
        (["manual=7"], "'7' is no duration"),
        (["manual=1.5h"], "'1.5h' is no duration"),
        (["manual=-1h"], "'-1h' is no duration"),
        (["manual=7 d"], "'7 d' is no duration"),
        (["manual=7D"], "'7D' is no duration"),
        (["manual=0s"], "'0s': a duration must be longer than 0 and at most 36500 days, or none"),
        (["manual=36501d"], "at most 36500 days"),
        (["manual=999999999999w"], "at most 36500 days"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_name_of_the_flag(
    flag: str, values: list[str], complaint: str
) -> None:
    is_age = flag == "--stale-after"

    with pytest.raises(typer.BadParameter) as refused:
        checked_staleness(values if is_age else None, None if is_age else values, "1m")

    assert complaint in refused.value.message
    assert refused.value.param_hint == flag


@pytest.mark.parametrize("interval", ["60", "none", "0m", ""])
def test_an_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        checked_staleness(None, None, interval)

    assert refused.value.param_hint == "--sweep-interval"


def test_workers_are_told_the_settings() -> None:
    settings = Settings(staleness=checked_staleness(["manual=7d"], ["service_mesh=3d"], "5m"))

    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own
