"""The parts of the page of one request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from codemie_core.admin.pages.layout import badge, box, empty, text
from codemie_core.admin.pages.naming import agent_title
from codemie_core.admin.pages.widgets import Column, Kind, Table, Talk, Told
from codemie_core.inspection.conversation import answering_of, asking_of
from codemie_core.inspection.talk import Asking, Message, paired
from codemie_core.usage.apis import model_api

if TYPE_CHECKING:
    from codemie_core.admin.payload import RequestPayload, Spoken
    from codemie_core.admin.request_rows import AttemptView, RequestDetail, ToolView

ATTEMPTS = (
    Column("n", "Attempt", "count", sorts=False),
    Column("account", "Account", sorts=False),
    Column("host", "Host", sorts=False),
    Column("state", "Outcome", "badge", sorts=False),
    Column("detail", "Detail", sorts=False, wide=True),
    Column("head", "Answer began", "ms", sorts=False),
    Column("ended", "Ended", "ms", sorts=False),
)
TOOLS = (
    Column("n", "Call", "count"),
    Column("name", "Tool", "mono"),
    Column("state", "Outcome", "badge"),
    Column("files", "Files", "tags", sorts=False),
    Column("added", "Lines added", "count"),
    Column("removed", "Lines removed", "count"),
)
CUT = (
    "What was kept of this request lacks its middle, so it cannot be read as a conversation: see Request and Response."
)


def figures(found: RequestDetail) -> None:
    """The numbers that matter most."""
    shown: tuple[tuple[str, Kind, float | None], ...] = (
        ("Cost", "money", found.cost_usd),
        ("Tokens", "tokens", found.total_tokens),
        ("Took", "ms", found.response_time_ms),
        ("First token", "ms", found.first_token_ms),
        ("Output speed", "speed", found.tokens_per_second),
    )
    with box("cm-cards cm-small"):
        for label, kind, value in shown:
            with box("cm-card"):
                text(label, "cm-card-label")
                Told(kind, value, "cm-card-value")


def timeline(found: RequestDetail) -> None:
    """Stretches of the whole, one below the other."""
    at = found.timings
    whole = max(at.total, 1.0)
    begun = at.first_token if at.first_token is not None else at.first_byte
    stretches = (
        ("Upstream's head", 0.0, at.head),
        ("First token", at.head, begun),
        ("Answer", begun, at.last_token if at.last_token is not None else at.total),
    )
    with box("cm-timeline"):
        for label, since, until in stretches:
            if since is None or until is None or until < since:
                continue
            with box("cm-timeline-row"):
                text(label, "cm-muted")
                with box("cm-timeline-track"):
                    box("").style(f"left: {100 * since / whole:.2f}%; width: {100 * (until - since) / whole:.2f}%")
                Told("ms", until - since, "cm-num")
        with box("cm-timeline-row"):
            text("Whole", "cm-strong")
            box("cm-timeline-track")
            Told("ms", at.total, "cm-num cm-strong")


def costs(found: RequestDetail) -> None:
    """Each kind of token beside what it cost."""
    if found.total_tokens is None and found.cost_usd is None:
        text("None were counted.", "cm-muted")
        return
    rows = (
        ("Input", found.input_tokens, found.cost.input),
        ("From the cache", found.cache_read_input_tokens, found.cost.cache_read),
        ("Into the cache", found.cache_creation_input_tokens, found.cost.cache_write),
        ("Output", found.output_tokens, found.cost.output),
    )
    columns = (
        Column("name", "", sorts=False),
        Column("tokens", "Tokens", "count", sorts=False),
        Column("cost", "Cost", "money", sorts=False),
    )
    told = [{"id": name, "name": name, "tokens": tokens, "cost": cost} for name, tokens, cost in rows]
    if found.cost.tools:
        told.append({"id": "tools", "name": "Tools of the provider", "tokens": None, "cost": found.cost.tools})
    told.append({"id": "whole", "name": "Whole", "tokens": found.total_tokens, "cost": found.cost_usd})
    Table("Tokens and their cost", columns, told, small=True)
    if found.cost_usd is None:
        text("Its price is not known: no cost is made up.", "cm-note")


def reasons(lines: Sequence[str]) -> None:
    """In sentences, in order."""
    with box("cm-why", "ol"):
        for line in lines:
            text(line, tag="li")


def attempts(found: Sequence[AttemptView]) -> None:
    """Each try at an upstream."""
    rows = []
    for each in found:
        good = not each.reason and each.status is not None and each.status < 400
        words = (each.reason or "served").replace("_", " ") if each.status is None or each.reason else "served"
        state = f"{each.status} · {words}" if each.status is not None else words
        rows.append(
            {
                "id": str(each.n),
                "n": each.n,
                "account": each.account,
                "host": each.host,
                "state": [state, "good" if good else "bad" if each.reason else ""],
                "detail": each.detail,
                "head": each.head_ms,
                "ended": each.ended_ms,
            }
        )
    Table("Attempts", ATTEMPTS, rows, absent="Nothing was sent to an upstream.")


def tools(found: Sequence[ToolView]) -> None:
    """What the model called."""
    if not found:
        empty("No tools were called", "The model answered in words alone.")
        return
    outcomes = {True: ("went well", "good"), False: ("failed", "bad"), None: ("not told yet", "")}
    rows = []
    for each in found:
        rows.append(
            {
                "id": str(each.n),
                "n": each.n + 1,
                "name": each.name,
                "state": list(outcomes[each.ok]),
                "files": [file.path for file in each.files],
                "added": _sum(file.lines_added for file in each.files),
                "removed": _sum(file.lines_removed for file in each.files),
            }
        )
    Table("Tools", TOOLS, rows)


def details(found: RequestDetail) -> None:
    """Everything else."""
    pairs: tuple[tuple[str, object], ...] = (
        ("Request", found.id),
        ("Asked", f"{found.method} {found.host}{found.path}"),
        ("Agent", agent_title(found.agent_used)),
        ("Account", found.account_used),
        ("Client key", found.api_key_name),
        ("Model asked for", found.model_asked),
        ("Model that served", found.model_served),
        ("Provider", found.provider),
        ("Conversation", found.conversation_id),
        ("Project", found.project),
        ("Branch", found.branch),
        ("Stop reason", found.stop_reason),
        ("Error", found.error_message),
        ("Prices", found.cost.price_version),
    )
    with box("cm-pairs"):
        for name, value in pairs:
            if value:
                text(name)
                text(value, "cm-mono")
        text("Session")
        text(found.session_id, "cm-mono", "a").props["href"] = f"/sessions/{found.session_id}"
        text("Sent and received")
        with box("cm-row"):
            Told("bytes", found.request_bytes)
            text("·", "cm-faint")
            Told("bytes", found.response_bytes)


def conversation(found: RequestDetail, kept: RequestPayload) -> None:
    """What was said, as the conversation it is."""
    asking, answer = read_conversation(found.method, found.path, kept)
    if asking is None and not answer:
        empty("No conversation", CUT)
        return
    if asking is not None and asking.tools:
        with box("cm-row"):
            text(f"{len(asking.tools)} tools on offer", "cm-muted")
            for name in asking.tools[:12]:
                text(name, "cm-tag", "span")
    said = (*(asking.messages if asking is not None else ()), *answer)
    told = [_told(message) for message in paired(tuple(said))]
    if asking is not None and asking.system:
        told = [{"role": "system", "parts": [{"kind": "text", "text": each} for each in asking.system]}, *told]
    if asking is None:
        text(CUT, "cm-note")
    Talk("Conversation", told)


def read_conversation(method: str, path: str, kept: RequestPayload) -> tuple[Asking | None, tuple[Message, ...]]:
    """What the bodies that were kept hold, as far as they can be read."""
    api = model_api(method, path)
    asking: Asking | None = None
    answer: tuple[Message, ...] = ()
    if kept.request is not None:
        try:
            asking = asking_of(api, path, json.loads(kept.request.body))
        except ValueError:
            asking = None
    if kept.response is not None:
        answer = answering_of(api, kept.response.body.encode())
    return asking, answer


def message(spoken: Spoken | None) -> None:
    """A head and a body, as they were kept."""
    if spoken is None:
        empty("Nothing was kept of it", "The other side may have been.")
        return
    with box("cm-pairs cm-heads"):
        for name, value in spoken.headers.items():
            text(name, "cm-mono")
            text(value, "cm-mono")
    with box("cm-row cm-note"):
        text("Body, of")
        Told("bytes", spoken.bytes)
        badge("secrets left out")
    text(pretty(spoken.body), "cm-code cm-raw", "pre").props('tabindex="0" aria-label="Body"')


def pretty(body: str) -> str:
    """JSON with a line for each member; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _told(message: Message) -> dict[str, object]:
    return {"role": message.role, "parts": [asdict(part) for part in message.parts]}


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
