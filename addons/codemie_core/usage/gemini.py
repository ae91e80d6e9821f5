"""Reads answers of Google's Gemini API: event streams, the elements of a streamed array, and whole bodies.

https://ai.google.dev/api/generate-content#UsageMetadata: `promptTokenCount` includes what came from a cache,
`candidatesTokenCount` leaves out the thoughts, and what a server tool brought is counted apart. Each chunk repeats the
counts so far. Zeros are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from codemie_core.json_text import loads
from codemie_core.sse import SseEvent
from codemie_core.usage.answer import Answer
from codemie_core.usage.draft import Draft
from codemie_core.usage.json_values import count, error_kind, rows, table, text, word, written
from codemie_core.usage.usage import Usage

_REFUSALS = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE"})
_STANDARD = ("", "standard", "unspecified", "on_demand", "default")
_COUNTS = (
    *("promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount"),
    *("candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"),
)


class GeminiReader:
    """One answer."""

    def __init__(self) -> None:
        self._draft = Draft[int]()
        self._counts: dict[str, int] = {}
        self._tier = ""
        self._searches = 0
        self._calls = 0

    def feed(self, event: SseEvent, at_ms: float) -> None:
        """One chunk of the stream."""
        self._draft.events += 1
        self._take(loads(event.data), at_ms)

    def whole(self, body: object) -> None:
        """An answer that was not streamed, or all chunks of one that was, in an array."""
        for chunk in rows(body) or (body,):
            self._take(chunk, None)
        if isinstance(body, dict) and body and not self._draft.error:
            self._draft.complete = True

    def answer(self) -> Answer:
        """What has been seen so far."""
        return self._draft.answer(self._usage())

    def _take(self, chunk: object, at_ms: float | None) -> None:
        # The Code Assist API puts each chunk into an envelope.
        body = table(chunk)
        body = table(body.get("response")) or body
        draft = self._draft
        if body.get("error"):
            draft.error = error_kind(body) or "error"
        draft.named(body.get("modelVersion"), body.get("responseId"))
        for candidate in rows(body.get("candidates")):
            self._candidate(table(candidate), at_ms)
        if reason := word(table(body.get("promptFeedback")).get("blockReason")):
            draft.stop_reason, draft.refusal, draft.complete = reason, True, True
        self._count(table(body.get("usageMetadata")))

    def _candidate(self, candidate: Mapping[str, object], at_ms: float | None) -> None:
        draft = self._draft
        for part in rows(table(candidate.get("content")).get("parts")):
            self._part(table(part), at_ms)
        searches = rows(table(candidate.get("groundingMetadata")).get("webSearchQueries"))
        self._searches = max(self._searches, len(searches))
        if reason := word(candidate.get("finishReason")):
            draft.stop_reason, draft.complete = reason, True
            draft.refusal = draft.refusal or reason in _REFUSALS or reason.startswith("IMAGE_")

    def _part(self, part: Mapping[str, object], at_ms: float | None) -> None:
        draft, words, asked = self._draft, text(part.get("text")), table(part.get("functionCall"))
        if words and part.get("thought") is not True:
            draft.text_chars += len(words)
        if words or asked or part.get("executableCode"):
            draft.token(at_ms)
        if word(asked.get("name")) and (call := draft.call(self._calls)):
            self._calls += 1
            call.named(asked.get("id"), asked.get("name"))
            call.add(written(table(asked.get("args"))))
            # Vertex can be asked to send the arguments as edits to apply: then they are not all here.
            call.ended = asked.get("willContinue") is not True

    def _count(self, said: Mapping[str, object]) -> None:
        for name in _COUNTS:
            if (number := count(said.get(name))) is not None:
                self._counts[name] = number
        if tier := word(said.get("serviceTier")) or word(said.get("trafficType")):
            name = tier.lower().removeprefix("service_tier_").removeprefix("on_demand_")
            self._tier = "" if name in _STANDARD else name

    def _usage(self) -> Usage:
        said = self._counts.get
        prompt, cached, thoughts = said("promptTokenCount"), said("cachedContentTokenCount"), said("thoughtsTokenCount")
        read = None if prompt is None else prompt + (said("toolUsePromptTokenCount") or 0)
        if read is not None and cached is not None and cached <= read:
            anew: int | None = read - cached
        else:
            anew = read
        return Usage(
            input=anew,
            cache_read=cached,
            output=self._output(read, thoughts),
            reasoning=thoughts,
            server_tools={"google_search": self._searches} if self._searches else {},
            tier=self._tier,
        )

    def _output(self, read: int | None, thoughts: int | None) -> int | None:
        answered, total = self._counts.get("candidatesTokenCount"), self._counts.get("totalTokenCount")
        if answered is not None:
            return answered + (thoughts or 0)
        if read is not None and total is not None and total - read >= (thoughts or 0):
            return total - read
        return thoughts
