"""Waiting for a person who signs in on another device (RFC 8628)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.grants import DeviceCode, Way, poll_device
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens

SLOWER = 5.0
"""Seconds that each slow_down adds (RFC 8628, 3.5)."""
LONGEST_PAUSE = 60.0
LEAST_PAUSE = 1.0
_WORDS = {
    "access_denied": "the sign-in was refused on the other device",
    "expired_token": "nobody signed in on the other device in time",
}


async def agreed(
    provider: OAuthProvider,
    way: Way,
    device: DeviceCode,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.time,
) -> Tokens:
    """The tokens, once the person has agreed. OAuthFailed when they refuse, or the code is over before.

    A service that fails or cannot be reached is asked again, more slowly: the person may be done meanwhile.
    """
    pause, ends = max(device.interval, LEAST_PAUSE), clock() + device.expires_in
    while True:
        await sleep(min(pause, LONGEST_PAUSE))
        now = clock()
        if now >= ends:
            raise OAuthFailed(f"{_WORDS['expired_token']}; run it again", "expired_token")
        try:
            return await poll_device(provider, way, device, now)
        except OAuthFailed as answer:
            if answer.code == "slow_down":
                pause += SLOWER
            elif answer.code in _WORDS:
                raise OAuthFailed(f"{_WORDS[answer.code]}; run it again", answer.code) from None
            elif not _passing(answer):
                raise
            elif not answer.code:
                pause = max(2 * pause, answer.after or 0.0)


def _passing(answer: OAuthFailed) -> bool:
    """Nothing decided yet: RFC 8628's word for it, or no OAuth error at all."""
    return answer.code in ("", "authorization_pending", "temporarily_unavailable", "server_error")
