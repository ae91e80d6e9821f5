"""What NiceGUI lacks: tables of many rows, figures over time, moments in the viewer's zone, a row of choices.

A table or a chart is one element here and is drawn in the browser: thousands of elements would be made on the loop that
streams go through. Whatever their data holds becomes text, never HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import ui

from codemie_core.admin.pages.layout import box, text

type Kind = Literal[
    "text", "mono", "count", "ms", "tokens", "money", "percent", "bytes", "speed", "time", "ago", "until",
    "badge", "bar", "tags",
]  # fmt: skip
"""What a cell holds: `time`, `ago` and `until` are ms since the epoch, `ms` is a duration, `money` is US dollars,
`percent` is of 100, `speed` is tokens per second; `badge` is [word, mood], `bar` is [percent, words, mood], `tags` is a
list. None is unknown. See assets/format.js."""
type Row = Mapping[str, Any]
"""`id`, a cell for each column, and perhaps `href` (where a click on it goes) and `css` (open, fresh)."""

RIGHT = frozenset({"count", "ms", "tokens", "money", "percent", "bytes", "speed"})


@dataclass(frozen=True, slots=True)
class Column:
    """`wide` ones are left out on a phone."""

    key: str
    label: str
    kind: Kind = "text"
    width: str = ""
    wide: bool = False
    sorts: bool = True


class Table(ui.element, component="components/table.js"):
    """Rows under headings that sort. `on_pick` hears the id of a row somebody chose; rows with `href` are links.

    `small`: of a few columns, a table on a phone too; others become cards there. `most` rows stay in the browser.
    """

    def __init__(
        self,
        label: str,
        columns: Sequence[Column],
        rows: Sequence[Row] = (),
        *,
        sort: str = "",
        down: bool = False,
        most: int = 0,
        absent: str = "",
        small: bool = False,
        on_pick: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(
            label=label,
            columns=[_told(column) for column in columns],
            rows=list(rows),
            sort=sort,
            down=down,
            most=most,
            absent=absent,
            small=small,
            picks=on_pick is not None,
        )
        if on_pick is not None:
            self.on("pick", lambda event: on_pick(str(event.args)))

    def show(self, rows: Iterable[Row]) -> None:
        """These are all rows now."""
        fresh = list(rows)
        if fresh != self._props["rows"]:
            self._props["rows"] = fresh
            self.update()

    def upsert(self, rows: Sequence[Row]) -> None:
        """Put these in the place of those with the same id, or on top. The browser alone knows of them then."""
        if rows:
            self.run_method("upsert", list(rows))

    def append(self, rows: Sequence[Row]) -> None:
        """Put these below, but those that are there."""
        if rows:
            self.run_method("append", list(rows))


def _told(column: Column) -> dict[str, object]:
    css = "cm-wide" if column.wide else ""
    told = {"key": column.key, "label": column.label, "kind": column.kind, "right": column.kind in RIGHT, "css": css}
    return told | {"width": column.width, "sorts": column.sorts}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, area or stack of a chart. `color`: c1 to c6, good, warn, bad."""

    name: str
    values: Sequence[float | None]
    color: str = "c1"


class Chart(ui.element, component="components/chart.js"):
    """Lines, areas, bars or stacks over time. `label` says in words what is to be seen, for those who do not see it."""

    def __init__(
        self,
        label: str,
        *,
        kind: Literal["area", "line", "bars", "stack"] = "area",
        format: Kind = "count",
        height: int = 180,
        ceiling: float = 0,
        bare: bool = False,
    ) -> None:
        super().__init__()
        self._props.update(moments=[], series=[], label=label, kind=kind, format=format, height=height)
        self._props.update(ceiling=ceiling, bare=bare, bucket=0)

    def show(self, moments: Sequence[int], lines: Sequence[Line], bucket_ms: int = 0) -> None:
        """Moments are ms since the epoch; each line has a value for each."""
        series = [{"name": line.name, "values": list(line.values), "color": line.color} for line in lines]
        fresh = {"moments": list(moments), "series": series, "bucket": bucket_ms}
        if any(self._props[name] != value for name, value in fresh.items()):
            self._props.update(fresh)
            self.update()


class Moment(ui.element, component="components/moment.js"):
    """`kind`: time, ago, until, full. None is shown as `absent`."""

    def __init__(self, ms: int | None, kind: str = "time", absent: str = "-", classes: str = "") -> None:
        super().__init__()
        self._props.update(ms=ms, kind=kind, absent=absent)
        self.classes(classes)

    def show(self, ms: int | None) -> None:
        """Another moment."""
        if self._props["ms"] != ms:
            self._props["ms"] = ms
            self.update()


class Told(ui.element, component="components/told.js"):
    """One number, told as the tables tell them."""

    def __init__(self, kind: Kind, value: float | None = None, classes: str = "") -> None:
        super().__init__()
        self._props.update(kind=kind, value=value)
        self.classes(classes)

    def show(self, value: float | None) -> None:
        """Another number."""
        if self._props["value"] != value:
            self._props["value"] = value
            self.update()


class Talk(ui.element, component="components/talk.js"):
    """What was said. Messages are {role, parts: [{kind, text, name, ok}]}; see inspection/talk.py."""

    def __init__(self, label: str, messages: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._props.update(label=label, messages=list(messages))


class Choices:
    """A few choices side by side, one of them taken."""

    def __init__(self, label: str, options: Mapping[str, str], value: str, changed: Callable[[str], object]) -> None:
        self.value = value
        self._changed = changed
        self._buttons: dict[str, ui.element] = {}
        with box("cm-choices").props(f'role="group" aria-label="{label}"'):
            for key, words in options.items():
                made = text(words, tag="button").props(f'type="button" aria-pressed="{str(key == value).lower()}"')
                made.on("click", lambda _, key=key: self.take(key), [])
                self._buttons[key] = made

    def take(self, key: str) -> object:
        """Choose it. What comes back is awaited where it can be."""
        self._buttons[self.value].props('aria-pressed="false"')
        self._buttons[key].props('aria-pressed="true"')
        self.value = key
        return self._changed(key)


def shares(parts: Sequence[tuple[str, float, str, str]]) -> None:
    """Names with their part of the whole: (name, percent, what is told of it, color)."""
    with box("cm-shares"):
        for name, percent, told, color in parts:
            text(name, "cm-cut").props["title"] = name
            text(told, "cm-num cm-muted")
            with box("cm-bar"):
                ui.element("div").style(f"width: {percent:.1f}%; background: var(--{color})")


def legend(lines: Iterable[Line]) -> None:
    """Which color is whose."""
    with box("cm-legend"):
        for line in lines:
            with box("", "span"):
                ui.element("i").style(f"background: var(--{line.color})")
                text(line.name, tag="span")
