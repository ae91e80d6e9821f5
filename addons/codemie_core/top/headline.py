"""The two lines on top: which proxy this is, and what the last day was."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from codemie_core.amounts import count, plain, tokens
from codemie_core.running import RunningProxy
from codemie_core.top.board import Board
from codemie_core.top.proxies import address, target
from codemie_core.top.rows import cost, left

_BLOCKS = "▁▂▃▄▅▆▇█"


def proxy_line(entry: RunningProxy, own: bool, others: int, live: bool, width: int, now: float) -> Text:
    """Where it listens, where to, how long; whether it is ours, and how many more there are."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{address(entry)}", "bold")
    line.append(f" \u2192 {plain(target(entry))}")
    more = f"p: {others} more  " if others else ""
    end = Text(f"{more}{'started by top  ' if own else ''}up {left(now - entry.started_at)}  ", "dim")
    end.append("\u25cf live" if live else "\u25cb not live", "green" if live else "yellow")
    line.truncate(max(10, width - end.cell_len - 1), overflow="ellipsis", pad=True)
    return line + Text(" ") + end


def figures_line(board: Board, width: int) -> Text:
    """What the last 24 hours were, and what is going on now; the course of cost where there is room."""
    totals = board.totals
    good = "" if not totals.requests or totals.success_rate is None else f", {totals.success_rate:.4g}% ok"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("24 h  ", "dim")
    line.append(f"{count(totals.requests)} requests{good}  {tokens(totals.total_tokens or 0)} tokens  ")
    line.append(cost(totals.total_cost_usd or 0), "bold")
    ready = sum(account.state in ("ready", "in use") for account in board.accounts)
    end = Text(f"{board.open} open", "cyan" if board.open else "dim")
    if board.accounts:
        style = "green" if ready == len(board.accounts) else "yellow" if ready else "red"
        end.append("  ").append(f"{ready}/{len(board.accounts)} accounts ready", style)
    room = width - line.cell_len - end.cell_len - 4
    if board.hours and room >= len(board.hours):
        line.append("  ").append(spark(board.hours), "green")
    line.truncate(max(10, width - end.cell_len - 1), overflow="ellipsis", pad=True)
    return line + Text(" ") + end


def spark(values: Sequence[float]) -> str:
    """One block for each, as high as it is to the highest."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return _BLOCKS[0] * len(values)
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int(value / highest * len(_BLOCKS)))] for value in values)
