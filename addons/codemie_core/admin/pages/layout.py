"""The frame around every page: where one can go, what the page is called, and what pages are put together of.

A page is a `View`: its address and an async function that builds it inside the frame, and keeps it up to date with
`refreshing`. Nothing in here reads data. Text goes into pages
with `text` and the widgets, which never take it for HTML.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nicegui import ui

from codemie_core import __version__
from codemie_core.admin.pages.icons import icon
from codemie_core.admin.pages.theme import head
from codemie_core.admin.problems import AdminProblem

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

logger = logging.getLogger(__name__)

FIRST_LOOK = 0.1
"""Seconds a page waits for its figures before it goes out without; then they follow."""
_FIRST_LOOKS: dict[str, list[asyncio.Task[None]]] = {}
"""By the id of the client whose page is being built."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A place in the navigation."""

    key: str
    label: str
    path: str


TABS = (
    Tab("overview", "Overview", "/"),
    Tab("accounts", "Accounts", "/accounts"),
    Tab("requests", "Requests", "/requests"),
    Tab("sessions", "Sessions", "/sessions"),
    Tab("analytics", "Analytics", "/analytics"),
    Tab("agents", "Agents", "/agents"),
    # /plugins is the API's
    Tab("plugins", "Plugins", "/addons"),
    Tab("logs", "Logs", "/logs"),
)


@dataclass(frozen=True, slots=True)
class View:
    """A page. `build` gets the plane and what is in braces in `path`, by name."""

    path: str
    tab: str
    title: str
    build: Callable[..., Awaitable[None]]


async def framed(view: View, plane: Plane, **named: str) -> None:
    """Build the page in its frame."""
    ui.add_head_html(head())
    ui.add_body_html(navigation(view.tab))
    client = ui.context.client
    client.content.props('id="main" tabindex="-1"')
    await view.build(plane, **named)
    if looks := _FIRST_LOOKS.pop(client.id, []):
        await asyncio.wait(looks, timeout=FIRST_LOOK)


def navigation(tab: str) -> str:
    """The bar at the side, at the bottom on a phone. Plain HTML: it is there before any script has run."""
    links = "".join(
        f'<a href="{escape(each.path)}"{" aria-current=" + chr(34) + "page" + chr(34) if each.key == tab else ""}>'
        f"{icon(each.key)}<span>{escape(each.label)}</span></a>"
        for each in TABS
    )
    return (
        '<a class="cm-skip" href="#main">Skip to the content</a>'
        f'<nav class="cm-nav" aria-label="Main"><a class="cm-brand" href="/">{icon("brand")}CodeMie proxy</a>'
        f'<div class="cm-tabs">{links}</div><div class="cm-nav-foot"><span>{escape(__version__)}</span>'
        '<button class="cm-icon" type="button" data-cm-theme aria-label="Switch between dark and light">'
        f'<i class="cm-when-light">{icon("moon")}</i><i class="cm-when-dark">{icon("sun")}</i></button></div></nav>'
    )


def text(words: object, classes: str = "", tag: str = "div") -> ui.element:
    """Words, as they are: whatever they hold, they are never HTML. Change them later with `say`."""
    element = ui.element(tag).classes(classes)
    element._text = str(words)
    return element


def say(element: ui.element, words: object) -> None:
    """Other words in an element that `text` made."""
    if element._text != str(words):
        element._text = str(words)
        element.update()


@contextmanager
def heading(title: str, sub: str = "") -> Iterator[None]:
    """The page's title. What is built inside stands at the right of it: buttons, choices, badges."""
    with ui.element("header").classes("cm-head"):
        text(title, tag="h1")
        if sub:
            text(sub, "cm-sub")
        ui.element("div").classes("cm-grow")
        yield


@contextmanager
def panel(title: str = "", note: str = "", classes: str = "") -> Iterator[ui.element]:
    """A bordered part of the page. `classes`: cm-span-3 ... cm-span-8 inside a `grid`; cm-flush for tables."""
    with ui.element("section").classes(f"cm-panel {classes}") as element:
        if title:
            with ui.element("div").classes("cm-panel-head"):
                text(title, tag="h2")
                if note:
                    text(note, "cm-note")
        yield element


def box(classes: str, tag: str = "div") -> ui.element:
    """A container: cm-row, cm-stack, cm-grid, cm-cards, cm-pairs, ..."""
    return ui.element(tag).classes(classes)


def badge(words: str, mood: str = "") -> ui.element:
    """A state in a word. `mood`: good, warn, bad, live, or "" for neither."""
    return text(words, f"cm-badge {mood}", "span")


def button(words: str, do: Callable[[], object], kind: str = "") -> ui.element:
    """`kind`: primary, danger, quiet, small, and any of them together."""
    made = text(words, f"cm-button {kind}", "button").props('type="button"')
    made.on("click", lambda _: do(), [])
    return made


def empty(title: str, words: str, command: str = "") -> None:
    """Where there is nothing to show: why, and what to do next."""
    with box("cm-empty"):
        text(title, tag="h3")
        text(words, tag="p")
        if command:
            text(command, "cm-code", "code")


def banner(words: str, mood: str = "") -> ui.element:
    """A line across the page about something that concerns all of it. `mood`: warn or bad."""
    return text(words, f"cm-banner {mood}").props('role="status"')


def toast(words: str, mood: str = "") -> None:
    """A word that goes away by itself. `mood`: good or bad."""
    kind = {"good": "positive", "bad": "negative"}.get(mood, "info")
    ui.notify(words, type=kind, position="bottom-right", timeout=8000 if mood == "bad" else 4000)  # type: ignore[arg-type]  # one of the literals


async def acting(work: Awaitable[object], done: str = "") -> bool:
    """Do what the operator asked for; say so, or say what was wrong. Did it work?"""
    try:
        await work
    except AdminProblem as problem:
        toast(problem.detail, "bad")
        return False
    if done:
        toast(done, "good")
    return True


async def refreshing(seconds: float, show: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Show it now, and again every so many seconds as long as somebody has the page open.

    A page does not wait long for it. What goes wrong is said on the page, and ends with the next time that goes well.
    What is returned shows it at once, when something was chosen or changed.
    """
    trouble = banner("", "bad")
    trouble.set_visibility(False)
    busy = asyncio.Lock()
    place = ui.context.slot_stack[-1]

    async def once() -> None:
        async with busy:
            words = ""
            try:
                with place:
                    await show()
            except AdminProblem as problem:
                words = problem.detail
            except Exception as error:
                # A page that fails is told so; the proxy has nothing to do with it.
                logger.warning("The dashboard could not show this page", exc_info=True)
                words = f"This could not be shown ({type(error).__name__}); the log says more."
            say(trouble, words)
            trouble.set_visibility(bool(words))

    async def again() -> None:
        if not busy.locked():
            await once()

    first = asyncio.get_running_loop().create_task(once(), name="first look")
    _FIRST_LOOKS.setdefault(ui.context.client.id, []).append(first)
    ui.timer(seconds, again, immediate=False)
    return once
