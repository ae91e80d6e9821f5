"""A list of rows under a title, which keeps the row that somebody has chosen while the rows around it come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Static

from codemie_core.top.rows import Column, Row

_NARROWEST = 8
"""Characters that the widest column keeps on the narrowest terminal."""


class Rows(DataTable[Text]):
    """Says in the footer what Enter does. Only where the keyboard is there is a row to be seen as chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Details", key_display="enter")]

    def on_focus(self) -> None:
        """The keyboard comes."""
        self.show_cursor = True

    def on_blur(self) -> None:
        """It goes."""
        self.show_cursor = False


class Pane(Vertical):
    """`title` stands in its upper edge; `empty` where there are no rows."""

    DEFAULT_CSS = """
    Pane { border-top: solid $primary 60%; border-title-color: $text; border-title-style: bold; }
    Pane:focus-within { border-top: solid $accent; border-title-color: $accent; }
    Pane > Rows { height: auto; max-height: 100%; background: $background; }
    Pane > Rows { overflow-x: hidden; scrollbar-size-vertical: 0; }
    Pane > .empty { display: none; padding: 0 1; color: $text-muted; height: auto; }
    Pane.none > .empty { display: block; }
    """

    def __init__(self, pane_id: str, title: str, columns: Sequence[Column], empty: str) -> None:
        super().__init__(id=pane_id)
        self._name, self._columns, self._empty = title, columns, empty
        self._rows: Sequence[Row] = ()
        self._told = Static(empty, classes="empty", markup=False)
        self.table = Rows(show_cursor=False, cursor_type="row", cell_padding=0, zebra_stripes=False)

    def compose(self) -> ComposeResult:
        """The table, and what stands there without rows."""
        self.border_title = self._name
        yield self.table
        yield self._told

    @property
    def chosen(self) -> str:
        """The key of the row under the cursor; "" when there is none."""
        at = self.table.cursor_row
        return self._rows[at].key if 0 <= at < len(self._rows) else ""

    def show(self, rows: Sequence[Row], empty: str = "") -> None:
        """These, from now on; of the rows that stay, only what differs is drawn anew."""
        before, chosen = self._rows, self.chosen
        self._rows = rows
        self.set_class(not rows, "none")
        self._told.update(empty or self._empty)
        self.border_title = f"{self._name} ({len(rows)})" if rows else self._name
        if [row.key for row in before] == [row.key for row in rows]:
            self._change(before, rows)
        else:
            self._refill(chosen)

    def on_resize(self, _: events.Resize) -> None:
        """The column without a width takes what there is."""
        widths = self._widths()
        if widths != [column.width for column in self.table.ordered_columns]:
            chosen = self.chosen
            self.table.clear(columns=True)
            for column, width in zip(self._columns, widths, strict=True):
                title = Text(column.title, justify="right" if column.right else "left")
                self.table.add_column(title, width=width, key=column.title)
            self._refill(chosen)

    def _widths(self) -> list[int]:
        fixed = sum(column.width + 1 for column in self._columns if column.width)
        rest = max(_NARROWEST, self.size.width - fixed)
        return [column.width + 1 if column.width else rest for column in self._columns]

    def _change(self, before: Sequence[Row], rows: Sequence[Row]) -> None:
        for at, (old, new) in enumerate(zip(before, rows, strict=True)):
            for n, (was, cell) in enumerate(zip(old.cells, new.cells, strict=True)):
                if was != cell or was.style != cell.style:
                    self.table.update_cell_at(Coordinate(at, n), self._fitted(n, cell))

    def _refill(self, chosen: str) -> None:
        table = self.table
        if not table.columns:
            return
        top, at = table.scroll_offset.y, table.cursor_row
        table.clear()
        for row in self._rows:
            table.add_row(*(self._fitted(n, cell) for n, cell in enumerate(row.cells)), key=row.key)
        keys = [row.key for row in self._rows]
        # Who looks at the top wants to see what comes; who has gone down wants to stay with the row.
        stays = chosen in keys and at > 0
        table.move_cursor(row=keys.index(chosen) if stays else 0, animate=False, scroll=False)
        if stays:
            table.scroll_to(y=top + table.cursor_row - at, animate=False)

    def _fitted(self, n: int, cell: Text) -> Text:
        fitted = cell.copy()
        fitted.no_wrap, fitted.overflow = True, "ellipsis"
        if self._columns[n].right:
            fitted.justify = "right"
        else:
            # A word as wide as its column would run into the next one.
            fitted.truncate(max(1, self._widths()[n] - 1), overflow="ellipsis")
        return fitted
