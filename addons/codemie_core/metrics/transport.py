"""CodeMie's metrics API: one metric out, one word about it back.

The session goes to the address it was made for and nowhere else: no redirect is followed. What a failure says is kept
short and redacted, because it ends in the log and in the database.
"""

from __future__ import annotations

import asyncio
import json
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

import httpx

from codemie_core.decoding import stream_decoder
from codemie_core.metrics.session import Session as MetricsSession
from codemie_core.redact import redact_text
from codemie_core.sso.expiry import sign_of_expiry
from codemie_core.sso.session import Session
from codemie_core.web import USER_AGENT

PAUSES = (1.0, 2.0, 5.0)
"""Seconds before each further attempt; before all others the last."""
LONGEST_ANSWER = 64 * 1024
LONGEST_WHY = 200
LONGEST_VALUE = 256
TIMEOUT = 30.0
"""Seconds for one attempt, from the dial to the last byte of the answer."""
REQUEST_ID = "X-CodeMie-Request-ID"
_PLAIN = string.ascii_letters + string.digits + string.punctuation + " "


class Outcome(StrEnum):
    """What became of a metric."""

    SENT = "sent"
    EXPIRED = "expired"
    """The sign-in is not, or no longer, taken."""
    REFUSED = "refused"
    """CodeMie has seen it and does not want it, or answers in a way that says nothing."""
    UNREACHABLE = "unreachable"
    """No answer, or one that says: later. It may have been counted nevertheless."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is one line for people; "" when all is well."""

    outcome: Outcome
    why: str = ""
    attempts: int = 1
    answered: bool = False
    """Did the server say so itself, of this very metric?"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A metric as it goes out, byte for byte, and what stands beside it. Holds no credential."""

    key: str
    """Says that two letters are one: sent as X-CodeMie-Request-ID, so that who counts can tell."""
    body: bytes
    headers: Mapping[str, str]
    """Whose it is."""

    @property
    def all_headers(self) -> dict[str, str]:
        """As they go out, but for the sign-in and what HTTP itself adds."""
        return {
            "User-Agent": USER_AGENT,
            **self.headers,
            REQUEST_ID: self.key,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }


def letter_headers(session: MetricsSession | None, branch: str, cli: str) -> dict[str, str]:
    """What CodeMie's own tools send beside a metric; a value that is empty leaves its header out."""
    found = {"X-CodeMie-CLI": cli, "X-CodeMie-Branch": branch}
    if session is not None:
        found |= {
            "X-CodeMie-Client": session.client_type or f"codemie-{session.agent_name}",
            "X-CodeMie-Repository": session.repository or "",
            "X-CodeMie-Project": session.project or "",
        }
    return {name: cleaned for name, value in found.items() if (cleaned := _header_value(value))}


class MetricsApi:
    """`url` is the whole address that metrics are posted to."""

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        timeout: float = TIMEOUT,
        max_retries: int = len(PAUSES),
    ) -> None:
        self.url = url
        self._pauses = [PAUSES[min(number, len(PAUSES) - 1)] for number in range(max_retries)]
        self._client, self._sleep, self._timeout = client, sleep, timeout

    async def post(self, letter: Letter, session: Session) -> Verdict:
        """Send it, several times if nobody answers. Every attempt is the same, byte for byte."""
        verdict = await self._try(letter, session)
        for attempts, pause in enumerate(self._pauses, 2):
            if verdict.outcome is not Outcome.UNREACHABLE:
                break
            await self._sleep(pause)
            verdict = replace(await self._try(letter, session), attempts=attempts)
        return verdict

    async def _try(self, letter: Letter, session: Session) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._once(letter, session)
        except TimeoutError:
            return _verdict(Outcome.UNREACHABLE, f"no answer within {self._timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            return _verdict(Outcome.UNREACHABLE, f"{type(problem).__name__}: {problem}")

    async def _once(self, letter: Letter, session: Session) -> Verdict:
        signed = {name: value.get_secret_value() for name, value in session.headers().items()}
        headers = {**letter.all_headers, **signed}
        async with self._client.stream("POST", self.url, content=letter.body, headers=headers) as answer:
            status, header = answer.status_code, answer.headers.get
            if status == 429 or status >= 500:
                why = f"it answered {status}: {await _text(answer)}"
                return replace(_verdict(Outcome.UNREACHABLE, why), answered=status != 429)
            if 300 <= status < 400 or sign_of_expiry(self.url, status, header("location"), header("content-type")):
                return _verdict(Outcome.EXPIRED, f"the sign-in has expired (it answered {status})")
            return _judged(status, await _text(answer))


def _judged(status: int, text: str) -> Verdict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _verdict(Outcome.REFUSED, f"it answered {status} with something that is no JSON: {text}")
    said = found if isinstance(found, dict) else {}
    if 200 <= status < 300 and said.get("success") is True:
        return Verdict(Outcome.SENT)
    words = next((said[key] for key in ("message", "details", "detail") if isinstance(said.get(key), str)), text)
    return _verdict(Outcome.REFUSED, f"it answered {status}: {words}")


async def _text(answer: httpx.Response) -> str:
    """The beginning of what it says. Not by httpx's own decoder: of a few bytes it makes as many as the other likes."""
    decoder = stream_decoder(answer.headers.get("content-encoding", ""), LONGEST_ANSWER)
    if decoder is None:
        return ""
    body = b""
    async for chunk in answer.aiter_raw():
        body += decoder.feed(chunk)
        if decoder.exhausted or decoder.failed:
            break
    return body.decode("utf-8", "replace")


def _verdict(outcome: Outcome, why: str) -> Verdict:
    # Cut before it is redacted as well: nobody reads on, and a page may be long.
    words = " ".join(redact_text(why[: 4 * LONGEST_WHY]).split())
    return Verdict(outcome, "".join(c for c in words if c.isprintable())[:LONGEST_WHY].rstrip(" :"))


def _header_value(text: str) -> str:
    """Printable ASCII; everything else as %XX."""
    return quote(text.strip(), safe=_PLAIN, errors="replace")[:LONGEST_VALUE].strip()
