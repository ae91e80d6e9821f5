"""What is going on: the figures of a stretch of time beside those before it, the pool, the last requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from codemie_core.admin.accounts import list_accounts
from codemie_core.admin.analytics import analytics
from codemie_core.admin.asked import Asked, Range
from codemie_core.admin.pages.figures import Cards, Costs, Shares, Volume
from codemie_core.admin.pages.keeping import History
from codemie_core.admin.pages.layout import View, box, empty, heading, panel, refreshing
from codemie_core.admin.pages.naming import RANGE_WORDS
from codemie_core.admin.pages.now import Errors, Latest, Now
from codemie_core.admin.pages.widgets import Choices
from codemie_core.admin.requests import requests

if TYPE_CHECKING:
    from codemie_core.admin.plane import Plane

NOW = 5.0
FIGURES = 30.0
LATEST = 10
ERRORS = 6


async def build(plane: Plane) -> None:
    """The page."""
    chosen = Asked(range="24h")

    async def take(range: str) -> None:
        nonlocal chosen
        chosen = Asked(range=cast(Range, range))
        await look()

    with heading("Overview"):
        Choices("Range of time", RANGE_WORDS, "24h", take)
    nothing = box("cm-panel")
    with nothing:
        empty(
            "No requests yet",
            "Start an agent through this proxy; it appears here while it works. What to set for each agent says:",
            "codemie-proxy status",
        )
    filled = box("cm-column")
    with filled:
        cards = Cards()
        with box("cm-grid"):
            with box("cm-column cm-span-8"):
                with panel("Requests"):
                    volume = Volume()
                with panel("Cost", "by model"):
                    costs = Costs()
            with box("cm-column cm-span-4 cm-early"):
                with panel("Now"):
                    now = Now(plane)
                with panel("Models", "share of the cost"):
                    models = Shares()
            with panel("Last requests", classes="cm-span-8 cm-flush"):
                latest = Latest()
            with box("cm-column cm-span-4"):
                with panel("Went wrong"):
                    errors = Errors()
                with panel("History"):
                    history = History(plane)

    async def show_figures() -> None:
        asked = chosen
        overall = await analytics(plane, asked)
        by_model = await analytics(plane, asked, model_breakdown=True)
        await history.show()
        if asked is chosen:
            cards.show(overall)
            volume.show(overall)
            costs.show(overall, by_model)
            models.show(overall)

    async def show_now() -> None:
        found = (await requests(plane, limit=LATEST)).items
        nothing.set_visibility(not found)
        latest.show(found)
        now.show(await list_accounts(plane))
        errors.show((await requests(plane, Asked(status="error"), ERRORS)).items)

    look = await refreshing(FIGURES, show_figures)
    await refreshing(NOW, show_now)


VIEWS = (View("/", "overview", "Overview", build),)
