"""The table of docs/agents.md: client, way in and scenario, as the suite with real agents has found them.

`./run.sh test-agents --table docs/agents.md` runs and writes it; `python -m support.agents_doc` writes it again from
the results that the last runs have left in build/agents.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import pytest

from support.agents_clients import CLIENTS

SCENARIOS = (
    "streamed answer",
    "tool call",
    "three turns",
    "first account limited",
    "overload in the stream",
    "upstream restarted",
    "proxy restarted",
    "killed in mid-stream",
    "codemie-proxy run",
)
"""The columns, in this order."""
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_ROOT = Path(__file__).parents[2]
_VERDICTS = {"passed": "yes", "failed": "**no**", "skipped": "not tested"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One client, one way in ("" where the agent is alone), one scenario."""

    client: str
    via: str
    scenario: str


@dataclass(slots=True)
class Found:
    """How it went."""

    outcome: str
    seconds: float
    version: str


@dataclass(slots=True)
class Results:
    """What all runs have found so far; later ones overwrite."""

    cells: dict[Cell, Found] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Nothing when there is no such file."""
        if not path.exists():
            return cls()
        rows = json.loads(path.read_text())
        return cls({Cell(**row["cell"]): Found(**row["found"]) for row in rows})

    def write(self, path: Path) -> None:
        """For `read`."""
        path.parent.mkdir(exist_ok=True)
        rows = [{"cell": asdict(cell), "found": asdict(found)} for cell, found in self.cells.items()]
        path.write_text(json.dumps(rows, indent=1) + "\n")

    def take(self, cell: Cell, report: pytest.TestReport, version: str) -> None:
        """The phases of a test: its setting up may skip or fail it, and so may what comes after it.

        What another version of the client did is forgotten.
        """
        for other in [one for one in self.cells if one.client == cell.client and self.cells[one].version != version]:
            del self.cells[other]
        if report.when == "setup":
            self.cells[cell] = Found("skipped" if report.skipped else "failed", 0.0, version)
        elif report.when == "call":
            self.cells[cell] = Found(report.outcome, round(report.duration, 1), version)
        elif report.failed:
            self.cells[cell].outcome = "failed"


def table(results: Results) -> str:
    """One row for each client and way in, one column for each scenario."""
    there = {cell.scenario for cell in results.cells if cell.via}
    scenarios = [scenario for scenario in SCENARIOS if scenario in there]
    rows = sorted({(cell.client, cell.via) for cell in results.cells if cell.via}, key=_place)
    lines = [_row("Client", "Way in", *scenarios), _row(*["---"] * (len(scenarios) + 2))]
    for client, via in rows:
        found = [results.cells.get(Cell(client, via, scenario)) for scenario in scenarios]
        version = next((one.version for one in found if one), "")
        lines.append(_row(f"{client} {version}", via, *map(_shown, found)))
    return "\n".join([*lines, *_alone(results)])


def _alone(results: Results) -> Iterator[str]:
    alone = {cell: found for cell, found in results.cells.items() if not cell.via}
    if not alone:
        return
    yield ""
    yield _row("Client", "What happens", "Alone gives up, with a pool of two goes on")
    yield _row("---", "---", "---")
    for cell, found in alone.items():
        yield _row(f"{cell.client} {found.version}", cell.scenario, _shown(found))


def _place(row: tuple[str, str]) -> tuple[int, str]:
    client, via = row
    return [known.name for known in CLIENTS].index(client), via


def _shown(found: Found | None) -> str:
    if found is None:
        return ""
    verdict = _VERDICTS[found.outcome]
    return f"{verdict}, {found.seconds:.0f} s" if found.seconds else verdict


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write_table(page: Path, results: Results) -> None:
    """Between the two marks of the page."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} between which the table could go")
    page.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    write_table(_ROOT / "docs" / "agents.md", Results.read(_ROOT / "build" / "agents.json"))
