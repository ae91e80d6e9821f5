from textual.app import App

from codemie_core.top.shapes import SignIn
from codemie_core.top.sign_in_form import SignInForm

BEGUN = SignIn(session_id="s", auth_url="https://signin.example/" + "x" * 300, how_to_end="Paste it.")


class Signing(App[None]):
    """The form alone."""

    def __init__(self, begun: SignIn) -> None:
        super().__init__()
        self.form = SignInForm(begun)
        self.answers: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.form, self.answers.append)


async def test_the_whole_url_is_on_the_screen_and_in_the_clipboard() -> None:
    app = Signing(BEGUN)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
        assert BEGUN.auth_url in "".join(lines)
        assert app.clipboard == BEGUN.auth_url


async def test_a_code_is_needed_and_an_empty_one_is_none() -> None:
    app = Signing(BEGUN)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        assert app.answers == []
        await pilot.press("c", "enter")
        await pilot.pause()
    assert app.answers == ["c"]


async def test_escape_gives_up() -> None:
    app = Signing(BEGUN)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape")
        await pilot.pause()
    assert app.answers == [""]
