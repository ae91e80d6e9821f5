import pytest

from codemie_core.top.shapes import Account, Request, Session, Totals, one, several


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("2026-09-21T14:13:20+00:00", 1_790_000_000.0),
        ("2026-09-21T14:13:20Z", 1_790_000_000.0),
        (1_790_000_000_500, 1_790_000_000.5),
        (None, None),
    ],
)
def test_moments_come_as_text_or_as_milliseconds(written: object, seconds: float | None) -> None:
    found = one(Request, {"id": "r", "timestamp": written})
    assert found is not None
    assert found.timestamp == seconds


def test_a_proxy_that_knows_less_or_more_is_understood() -> None:
    assert one(Account, {"id": "a", "name": "n"}) == Account(id="a", name="n")
    assert one(Session, {"id": "s", "model": None, "newThing": {"x": 1}}) == Session(id="s")
    assert one(Totals, {}) == Totals()


def test_what_cannot_be_understood_is_left_out() -> None:
    found = several(Request, [{"id": "a"}, {"model": "without an id"}, "text", None, {"id": "b", "timestamp": "soon"}])
    assert [request.id for request in found] == ["a"]
