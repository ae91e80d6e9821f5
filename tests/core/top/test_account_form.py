from textual.app import App
from textual.widgets import Input, Select, Static

from codemie_core.top.account_form import AccountForm, Filled
from codemie_core.top.shapes import Provider

HERE = Provider(name="anthropic", label="Anthropic", base_url="https://api.anthropic.com", sign_in="anthropic")
OWN = Provider(name="own", label="An API of yours", needs_base_url=True)


class Asking(App[None]):
    """The form alone."""

    def __init__(self, *providers: Provider) -> None:
        super().__init__()
        self.form = AccountForm(providers)
        self.answers: list[Filled | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.form, self.answers.append)


def problem(form: AccountForm) -> str:
    return str(form.query_one("#problem", Static).content)


async def test_what_is_missing_is_asked_for_before_anything_is_sent() -> None:
    app = Asking(OWN)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        assert problem(app.form) == "Give it a name."
        await pilot.press("n", "enter")
        assert problem(app.form) == "Its API key is missing."
        await pilot.press("tab", "k", "enter")
        assert problem(app.form).startswith("Its base URL is missing")
        await pilot.press("tab", *"http:", "slash", "slash", "x", "enter")
        await pilot.pause()
    assert app.answers == [Filled("own", "n", "k", "http://x")]


async def test_no_key_means_a_sign_in_where_there_is_one() -> None:
    app = Asking(HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.form.query_one("#key", Input).placeholder == "empty: sign in instead"
        await pilot.press("n", "enter")
        await pilot.pause()
    assert app.answers == [Filled("anthropic", "n", sign_in="anthropic")]


async def test_what_a_sign_in_still_needs_is_told_before_it_begins() -> None:
    app = Asking(HERE.model_copy(update={"missing": "Register a client first."}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n", "enter")
        assert problem(app.form) == "Its API key is missing. To sign in instead: Register a client first."


async def test_the_provider_says_where_its_api_is() -> None:
    app = Asking(HERE, OWN)
    async with app.run_test(size=(80, 24)) as pilot:
        url = app.form.query_one("#url", Input)
        assert url.placeholder == "https://api.anthropic.com"
        app.form.query_one("#provider", Select).value = "own"
        await pilot.pause()
        assert url.placeholder == "https://host[:port][/path]"


def test_a_key_is_not_in_what_is_printed_of_it() -> None:
    assert "planted" not in repr(Filled("p", "n", "planted"))
