import pytest
from textual.app import App
from textual.widgets import Static

from codemie_core.top.dialogs import Ask, Details

ANSWERS = (("stop", "End it"), ("keep", "Leave it"), ("", "Back"))


class Asking(App[None]):
    """A question alone."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(Ask("Quit", "Really [b]?", ANSWERS), self.answers.append)


@pytest.mark.parametrize(
    "keys, answer",
    [
        (["enter"], "stop"),
        (["right", "enter"], "keep"),
        (["tab", "tab", "enter"], ""),
        (["right", "left", "enter"], "stop"),
        (["escape"], ""),
    ],
)
async def test_a_question_is_answered_with_the_keyboard(keys: list[str], answer: str) -> None:
    app = Asking()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
    assert app.answers == [answer]


async def test_details_stand_in_lines_and_more_can_come() -> None:
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        window = Details("It", [("Name", "[red]a"), ("Long one", "b\nc")])
        await app.push_screen(window)
        body = window.query_one(Static)
        assert str(body.visual) == "Name      [red]a\nLong one  b\n          c\n"
        window.tell([("More", "d")])
        await pilot.pause()
        assert str(body.visual) == "More  d\n"
        await pilot.press("q")
        assert app.screen is not window
