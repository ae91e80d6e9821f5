"""CodeMie's API, as far as a sign-in needs it: is this session valid, whose is it, and where is the API?"""

from __future__ import annotations

import asyncio
import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from codemie_core.credential import is_loopback
from codemie_core.decoding import stream_decoder
from codemie_core.errors import SettingsError
from codemie_core.profile import GATEWAY_PATH
from codemie_core.sso.session import Session
from codemie_core.urls import is_plain_url, origin_of

if TYPE_CHECKING:
    import httpx

# A user's record is some kilobytes, config.js less.
_LONGEST_ANSWER = 1024 * 1024
_WHOLE_ANSWER_SECONDS = 20.0
"""The client's own timeout is for each read: an answer in drops would never end."""
_SHOWN = ("email", "name", "username", "user_id")
_API_URL = re.compile(r"""["']?VITE_API_URL["']?\s*[:=]\s*["']([^"'\s]+)["']""")


class Verdict(StrEnum):
    """What the backend says about a session."""

    VALID = "valid"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """Not reachable, an error of its own: nothing that says anything about the session."""


def api_base(url: str) -> str:
    """Where the API of the CodeMie at `url` is: the gateway's path is appended unless it is there.

    SettingsError when `url` is no plain URL, or is http to a host that is not this machine.
    """
    address = url.strip()
    try:
        origin = origin_of(address) if is_plain_url(address) else ""
    except ValueError:
        origin = ""
    if not origin:
        raise SettingsError("the CodeMie URL must be like https://host, without user, password, ? and #")
    parts = urlsplit(address)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise SettingsError(f"the CodeMie URL {address} must begin with https://: it gets your session")
    before = f"{parts.path}/".partition(f"{GATEWAY_PATH}/")[0]
    return f"{origin}{before.rstrip('/')}{GATEWAY_PATH}"


class Backend:
    """The API at `api_url`. A session of another origin is not sent there, and no answer is followed elsewhere."""

    def __init__(self, api_url: str, client: httpx.AsyncClient, timeout: float = _WHOLE_ANSWER_SECONDS) -> None:
        self._api_url, self._client, self._timeout = api_url, client, timeout

    async def check(self, session: Session) -> tuple[Verdict, str | None]:
        """Ask whether the session is valid, and for the e-mail address or name of its user.

        An expired session shows itself as a redirect to the login page or as that page more often than as a 401.
        """
        if not self._owns(session):
            return Verdict.UNKNOWN, None
        found = await self._get("/v1/user", session)
        if found is None:
            return Verdict.UNKNOWN, None
        status, content_type, body = found
        if status in (401, 403) or 300 <= status < 400:
            return Verdict.EXPIRED, None
        if not 200 <= status < 300:
            return Verdict.UNKNOWN, None
        if "html" in content_type:
            return Verdict.EXPIRED, None
        try:
            user = json.loads(body)
        except (ValueError, RecursionError):
            return Verdict.UNKNOWN, None
        return Verdict.VALID, _name_in(user)

    async def api_url_of(self, session: Session) -> str:
        """Where the backend's web page finds its API: VITE_API_URL in config.js.

        Only an address on this backend's own origin counts. A session belongs to the host that gave it, and a script
        that anybody may read is no place to learn another one from; without a usable answer the API is where it was.
        """
        if not self._owns(session):
            return self._api_url
        answer = await self._get("/config.js", session)
        if answer is None:
            return self._api_url
        status, _, body = answer
        found = _API_URL.search(body) if status == 200 else None
        if found is None:
            return self._api_url
        url = urljoin(f"{self._api_url}/", found[1]).rstrip("/")
        return url if is_plain_url(url) and origin_of(url) == origin_of(self._api_url) else self._api_url

    def _owns(self, session: Session) -> bool:
        return origin_of(session.api_url) == origin_of(self._api_url)

    async def _get(self, path: str, session: Session) -> tuple[int, str, str] | None:
        """Status, content type and text; None where there is no answer that can be read."""
        import httpx  # The client has brought it along; a proxy without a gateway starts without it.

        try:
            return await self._read(path, session)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return None

    async def _read(self, path: str, session: Session) -> tuple[int, str, str] | None:
        signed = {name: value.get_secret_value() for name, value in session.headers().items()}
        headers = {"accept": "application/json, */*;q=0.1", "accept-encoding": "identity", **signed}
        async with (
            asyncio.timeout(self._timeout),
            self._client.stream("GET", f"{self._api_url}{path}", headers=headers) as answer,
        ):
            # Not httpx's own decoder: of a few bytes it makes as many as the other side likes.
            decoder = stream_decoder(answer.headers.get("content-encoding", ""), _LONGEST_ANSWER)
            if decoder is None:
                return None
            body = b""
            async for chunk in answer.aiter_raw():
                body += decoder.feed(chunk)
                if decoder.exhausted or decoder.failed:
                    break
            content_type = answer.headers.get("content-type", "").lower()
            return answer.status_code, content_type, body.decode("utf-8", "replace")


def _name_in(user: Any) -> str | None:
    found = (user.get(name) for name in _SHOWN) if isinstance(user, dict) else ()
    # What is not printable could be a terminal's escape sequence.
    return next((text[:200] for text in found if isinstance(text, str) and text and text.isprintable()), None)
