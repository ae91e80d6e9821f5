from rich.text import Text
from textual.app import App, ComposeResult

from codemie_core.top.pane import Pane
from codemie_core.top.rows import Column, Row

COLUMNS = (Column("Name", 0), Column("Word", 5), Column("Count", 5, right=True))


class Showing(App[None]):
    """One list alone."""

    def __init__(self) -> None:
        super().__init__()
        self.pane = Pane("it", "Things", COLUMNS, "None yet.")

    def compose(self) -> ComposeResult:
        yield self.pane

    @property
    def lines(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def row(key: str, word: str = "w", count: int = 1) -> Row:
    return Row(key, (Text(f"name {key}"), Text(word), Text(str(count))))


async def test_columns_fill_the_width_and_follow_it() -> None:
    app = Showing()
    async with app.run_test(size=(30, 10)) as pilot:
        app.pane.show([row("a", "a word too long", 12)])
        await pilot.pause()
        assert app.lines[:3] == [
            "─Things (1)" + "─" * 19,
            "Name              Word   Count",
            "name a            a wo…     12",
        ]
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert app.lines[2] == "name a                      a wo…     12"


async def test_without_rows_it_says_what_to_do() -> None:
    app = Showing()
    async with app.run_test(size=(30, 10)) as pilot:
        app.pane.show([])
        await pilot.pause()
        assert "None yet." in "\n".join(app.lines)
        assert app.pane.chosen == ""
        app.pane.show([row("a")])
        await pilot.pause()
        assert "None yet." not in "\n".join(app.lines)


async def test_who_looks_at_the_top_sees_what_comes() -> None:
    app = Showing()
    async with app.run_test(size=(30, 10)) as pilot:
        app.pane.show([row("a")])
        app.pane.show([row("b"), row("a")])
        await pilot.pause()
        assert app.pane.chosen == "b"


async def test_who_has_chosen_a_row_stays_with_it() -> None:
    app = Showing()
    async with app.run_test(size=(30, 6)) as pilot:
        app.pane.show([row(each) for each in "abcdefgh"])
        await pilot.pause()
        app.pane.table.focus()
        await pilot.press("down", "down")
        assert app.pane.chosen == "c"
        app.pane.show([row(each) for each in "xyabcdefgh"])
        await pilot.pause()
        assert app.pane.chosen == "c"
        assert any("name c" in line for line in app.lines)
        app.pane.show([row(each) for each in "xy"])
        assert app.pane.chosen == "x"


async def test_a_row_is_marked_only_where_the_keyboard_is() -> None:
    app = Showing()
    async with app.run_test(size=(30, 10)) as pilot:
        app.pane.show([row("a")])
        app.pane.table.focus()
        await pilot.pause()
        assert app.pane.table.show_cursor
        app.set_focus(None)
        await pilot.pause()
        assert not app.pane.table.show_cursor


async def test_a_cell_changes_in_its_place() -> None:
    app = Showing()
    async with app.run_test(size=(30, 10)) as pilot:
        app.pane.show([row("a"), row("b")])
        await pilot.pause()
        app.pane.table.focus()
        await pilot.press("down")
        app.pane.show([row("a"), row("b", "new", 7)])
        await pilot.pause()
        assert app.lines[3] == "name b            new        7"
        assert app.pane.chosen == "b"
