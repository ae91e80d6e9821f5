"""A conversation as a page of text, for people: what was said is indented, what we say about it is not.

So nothing that was said can pass for ours, however it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from codemie_core.amounts import several
from codemie_core.inspection.talk import Asking, Kind, Message, Part, paired
from codemie_core.json_text import loads
from codemie_core.usage.json_values import without_halves, written

LONGEST = 20_000
"""Characters of one part: what tools bring back may be a whole file. The raw body has the rest."""
_SYSTEM_SHOWN = 2_000
_TOOLS_SHOWN = 100
_INDENT = "  "

type Row = tuple[str, str]
"""A title and what is to be said about it."""


def page(rows: Sequence[Row], *sections: Iterable[str]) -> str:
    """The head and what follows it, with an empty line between."""
    known = [(title, _one_line(text)) for title, text in rows if text]
    width = max((len(title) for title, _ in known), default=0)
    head = [f"{title:<{width}}  {text}" for title, text in known]
    found = [head, *(list(section) for section in sections)]
    return without_halves("\n\n".join("\n".join(lines) for lines in found if lines) + "\n")


def asking_lines(asking: Asking) -> Iterator[str]:
    """A request as a whole: what the model is told once, and the conversation so far."""
    if asking.system:
        yield "== system =="
        yield from _indented("\n\n".join(asking.system), _SYSTEM_SHOWN)
        yield ""
    if asking.tools:
        more = len(asking.tools) - _TOOLS_SHOWN
        names = ", ".join(asking.tools[:_TOOLS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield f"== {len(asking.tools)} tools =="
        yield from _indented(names)
        yield ""
    yield from message_lines(paired(asking.messages))


def turn_lines(asking: Asking | None, answer: tuple[Message, ...], later: tuple[Part, ...] = ()) -> Iterator[str]:
    """An answer and what it answers. `later` are results of its calls, out of requests that came after it."""
    latest = latest_of(asking.messages) if asking is not None else ()
    earlier = _models_last(asking.messages) + 1 if asking is not None else 0
    if earlier:
        yield f"({several(earlier, 'earlier message')}: see the request)"
        yield ""
    yield from message_lines(paired(latest))
    if answer:
        if latest:
            yield ""
        yield from message_lines(_with(answer, later))


def message_lines(messages: Iterable[Message]) -> Iterator[str]:
    """One after the other."""
    for number, message in enumerate(messages):
        if number:
            yield ""
        yield f"== {_one_line(message.role)} =="
        for place, part in enumerate(message.parts):
            if place and part.kind is Kind.TEXT:
                yield "[text]"
            yield from part_lines(part)


def part_lines(part: Part) -> Iterator[str]:
    """One part; text stands without a title, where it is the first."""
    match part.kind:
        case Kind.TEXT:
            yield from _indented(part.text)
        case Kind.CALL:
            yield f"[call] {_one_line(part.name) or '?'}{f' {_one_line(part.id)}' if part.id else ''}"
            yield from _arguments(part.text)
        case Kind.RESULT:
            went = {True: "went well", False: "failed", None: ""}[part.ok]
            words = filter(None, (_one_line(part.name), _one_line(part.id), went))
            yield " ".join(("[result]", *words))
            yield from _indented(part.text or "(nothing)")
        case _:
            yield f"[{part.kind}]"
            yield from _indented(part.text)


def latest_of(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What came after the model's last word, with its calls that are answered there."""
    last = _models_last(messages)
    latest = messages[last + 1 :]
    answered = {part.id or part.name for message in latest for part in message.parts if part.kind is Kind.RESULT}
    if last < 0 or not answered:
        return latest
    calls = tuple(
        part for part in messages[last].parts if part.kind is Kind.CALL and {part.id, part.name} & (answered - {""})
    )
    return (Message("assistant", calls), *latest) if calls else latest


def _models_last(messages: tuple[Message, ...]) -> int:
    """Where it spoke last; -1 for nowhere."""
    return max((place for place, message in enumerate(messages) if message.role == "assistant"), default=-1)


def results_for(answer: tuple[Message, ...], later: Asking) -> tuple[Part, ...]:
    """The results of this answer's calls that a later request tells, in the order of the calls; each with an id.

    Without ids a call is found again by its name and its arguments.
    """
    told = [part for message in paired(later.messages) for part in message.parts]
    found = []
    for call in _calls(answer):
        for this, following in pairwise(told):
            if this.kind is Kind.CALL and following.kind is Kind.RESULT and _same(this, call):
                found.append(following)
                break
        else:
            found += [part for part in told if part.kind is Kind.RESULT and part.id and part.id == call.id]
    return tuple(found)


def _calls(answer: tuple[Message, ...]) -> list[Part]:
    return [part for message in answer for part in message.parts if part.kind is Kind.CALL]


def _same(one: Part, other: Part) -> bool:
    if one.id and other.id:
        return one.id == other.id
    return one.name == other.name and loads(one.text) == loads(other.text)


def _with(answer: tuple[Message, ...], later: tuple[Part, ...]) -> list[Message]:
    return [message for message in paired((*answer, Message("tool", later))) if message.role != "tool"]


def _arguments(text: str) -> Iterator[str]:
    """An object's fields one by one, with line breaks as such: code is read as code."""
    given = loads(text) if text[:1] == "{" else None
    if not isinstance(given, dict) or len(text) > LONGEST:
        yield from _indented(text)
        return
    for name, value in given.items():
        words = value if isinstance(value, str) else written(value)
        if "\n" in words:
            yield f"{_INDENT}{_one_line(name)}:"
            yield from (f"{_INDENT}{line}" for line in _indented(words))
        else:
            yield from _indented(f"{_one_line(name)}: {words}")


def _indented(text: str, longest: int = LONGEST) -> Iterator[str]:
    for line in text[:longest].splitlines():
        yield f"{_INDENT}{line}".rstrip()
    if len(text) > longest:
        yield f"({len(text) - longest:,} more characters: see the raw body)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
