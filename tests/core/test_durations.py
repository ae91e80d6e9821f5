from typing import Annotated, Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from codemie_core.durations import (
    Duration,
    Size,
    TextOption,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    text_option_of,
)


class Timeouts(BaseModel):
    connect: Duration = 10.0
    idle: Annotated[Duration, Field(gt=0)] = 300.0
    # The older spelling is the one under test.
    total: Optional[Duration] = None  # noqa: UP045 - see above
    first: Duration | None = None
    cap: Size = 64 * 1024**2
    name: str | None = None
    count: int = 1


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("300s", 300.0),
        ("250ms", 0.25),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("1.5s", 1.5),
        (" 5 m ", 300.0),
        ("42", 42.0),
        (42, 42.0),
        (0.25, 0.25),
        (1e-7, 1e-7),
    ],
)
def test_durations_are_read_as_seconds(written: str | float, seconds: float) -> None:
    assert parse_duration(written) == seconds


NO_DURATION: list[Any] = [
    "",
    "s",
    "-1s",
    "5 minutes",
    "1h30m",
    "1e3s",
    "off",
    "٣s",
    ".5s",
    "9" * 40,
    -1,
    1e300,
]
NO_DURATION += [float("nan"), float("inf"), True, None, ["5s"], b"5s"]


@pytest.mark.parametrize("written", NO_DURATION)
def test_what_is_no_duration_is_refused_with_the_accepted_forms(written: Any) -> None:
    with pytest.raises(ValueError, match=r"duration.*250ms.*5m"):
        parse_duration(written)


@pytest.mark.parametrize(
    "seconds, written",
    [
        (0, "0s"),
        (0.25, "250ms"),
        (90, "90s"),
        (300, "5m"),
        (7200, "2h"),
        (86400, "1d"),
        (1.5, "1500ms"),
        (0.57, "570ms"),
    ],
)
def test_durations_are_printed_in_their_largest_whole_unit(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@settings(deadline=None)
@given(st.floats(min_value=1e-9, max_value=1e9))
def test_a_printed_duration_reads_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "written, size",
    [
        ("64m", 64 * 1024**2),
        ("64MB", 64 * 1024**2),
        ("64 MiB", 64 * 1024**2),
        ("1k", 1024),
        ("1.5k", 1536),
        ("2g", 2 * 1024**3),
        ("0", 0),
        ("100", 100),
        ("100b", 100),
        (100, 100),
        (100.0, 100),
    ],
)
def test_sizes_are_powers_of_1024(written: str | float, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "m", "-1m", "1.3", "0.0001k", "5t", "nan", True, None, "9" * 40])
def test_what_is_no_size_is_refused_with_the_accepted_forms(written: Any) -> None:
    with pytest.raises(ValueError, match=r"size.*64m"):
        parse_size(written)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**60))
def test_a_printed_size_reads_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("size, written", [(0, "0"), (1000, "1000"), (1536, "1536"), (2048, "2k"), (2**26, "64m")])
def test_sizes_are_printed_in_their_largest_whole_unit(size: int, written: str) -> None:
    assert format_size(size) == written


def test_model_fields_take_text_and_numbers() -> None:
    model = Timeouts.model_validate({"connect": "250ms", "idle": 7, "total": "5m", "first": None, "cap": "1k"})
    assert (model.connect, model.idle, model.total, model.first, model.cap) == (0.25, 7.0, 300.0, None, 1024)


@pytest.mark.parametrize("key", ["connect", "idle", "total", "first", "cap"])
def test_a_bad_value_in_a_model_is_a_validation_error_that_names_the_forms(key: str) -> None:
    with pytest.raises(ValidationError, match=rf"{key}[\s\S]*write \""):
        Timeouts.model_validate({key: "soon"})


def test_limits_on_a_field_apply_to_the_parsed_seconds() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Timeouts.model_validate({"idle": "0s"})


def test_every_duration_field_shows_its_marker_to_the_options_bridge() -> None:
    marked = {name for name, field in Timeouts.model_fields.items() if text_option_of(field)}
    assert marked == {"connect", "idle", "total", "first", "cap"}
    assert any(isinstance(mark, TextOption) for mark in Timeouts.model_fields["connect"].metadata)


def test_the_marker_prints_a_default_the_way_the_field_reads_it() -> None:
    option = text_option_of(Timeouts.model_fields["cap"])
    assert option is not None
    assert option.format(Timeouts().cap) == "64m"


@pytest.mark.parametrize("key, text", [("connect", "10s"), ("cap", "64m")])
def test_json_schema_describes_text_with_a_pattern_and_a_default_of_that_form(key: str, text: str) -> None:
    declared = Timeouts.model_json_schema(mode="serialization")["properties"][key]
    assert (declared["type"], declared["default"]) == ("string", text)
    assert declared["pattern"].startswith(r"^\d+")


def test_models_are_dumped_as_numbers_in_python_and_as_text_in_json() -> None:
    model = Timeouts(connect=0.25, total=300.0)
    assert model.model_dump(include={"connect", "total"}) == {"connect": 0.25, "total": 300.0}
    assert model.model_dump(mode="json", include={"connect", "total"}) == {"connect": "250ms", "total": "5m"}
