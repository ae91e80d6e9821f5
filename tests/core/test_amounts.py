import pytest

from codemie_core import amounts


@pytest.mark.parametrize(
    ("nano_usd", "unpriced", "shown"),
    [
        (None, 0, "-"),
        (None, 2, "?"),
        (0, 0, "$0"),
        (15_411_000, 0, "$0.0154"),
        (9, 0, "<$0.0001"),
        (1_000_000_000, 0, "$1.00"),
        (1_234_567_891_000, 0, "$1,234.57"),
        (1_500_000_000, 1, "$1.50 + ?"),
        (0, 1, "$0 + ?"),
    ],
)
def test_money_that_is_not_known_is_never_nothing(nano_usd: int | None, unpriced: int, shown: str) -> None:
    assert amounts.money(nano_usd, unpriced) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        *((None, "?"), (0, "0"), (9_999, "9,999"), (30_512, "30.5k"), (999_499, "999k"), (1_250_000, "1.25M")),
        *((12_300_000, "12.3M"), (3_100_000_000, "3.1B"), (2_500_000_000_000, "2,500B")),
    ],
)
def test_tokens_are_short(number: int | None, shown: str) -> None:
    assert amounts.tokens(number) == shown


@pytest.mark.parametrize(
    ("part", "shown"),
    [(None, "-"), (0.0, "0%"), (0.004, "0.4%"), (0.934, "93%"), (0.9999, "99.9%"), (0.997, "99.7%"), (1.0, "100%")],
)
def test_shares_of_almost_none_and_almost_all_are_told_apart_from_none_and_all(part: float | None, shown: str) -> None:
    assert amounts.share(part) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        *(
            (None, "-"),
            (0.4, "0 ms"),
            (850.2, "850 ms"),
            (999.7, "1.0 s"),
            (2_500.0, "2.5 s"),
            (59_960.0, "1 min 00 s"),
        ),
        *((65_000.0, "1 min 05 s"), (3_599_700.0, "1 h 00 min"), (7_380_000.0, "2 h 03 min")),
    ],
)
def test_spans_are_in_the_unit_that_fits(ms: float | None, shown: str) -> None:
    assert amounts.span(ms) == shown


def test_what_others_named_cannot_steer_a_terminal() -> None:
    assert amounts.plain("a\x1b[31mred\x07\n") == "a�[31mred��"
    assert amounts.plain("") == "-"
    assert amounts.plain("größe/x") == "größe/x"
    assert amounts.short("12345678-abc") == "12345678"


def test_counts_and_pairs() -> None:
    assert (amounts.count(None), amounts.count(1204), amounts.several(1, "prompt")) == ("?", "1,204", "1 prompt")
    assert (amounts.spans(None, None), amounts.spans(1.0, 2000.0)) == ("-", "1 ms / 2.0 s")
