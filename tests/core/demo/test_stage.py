import pytest

from codemie_core.demo import stage
from codemie_core.demo.stage import SceneFailed, poll, require


def test_a_broken_promise_is_named() -> None:
    require(True, "the sun rose")
    with pytest.raises(SceneFailed, match="it did not happen that the sun rose"):
        require(False, "the sun rose")


async def test_poll_returns_the_value_that_was_wanted() -> None:
    values = iter([1, 2, 3])

    async def read() -> int:
        return next(values)

    assert await poll(read, lambda value: value == 2) == 2


async def test_poll_gives_up_with_the_last_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.05)

    async def read() -> int:
        return 1

    assert await poll(read, lambda value: value == 2) == 1
