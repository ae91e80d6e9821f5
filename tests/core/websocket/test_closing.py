"""What each side is told when a WebSocket ends."""

import pytest

from codemie_core.websocket import closing
from codemie_core.websocket.closing import Close, Ending

ENDINGS = (
    *(closing.lost(client) for client in (True, False)),
    *(closing.broken(client, Close(1002, "no")) for client in (True, False)),
    *(closing.too_large(client, 64 * 1024**2) for client in (True, False)),
    *(closing.STOPPING, closing.PROXY_FAILED, closing.OTHER_ACCOUNT, closing.KEY_REVOKED),
    *(closing.BUSY, closing.SILENT, closing.UNREADABLE),
)


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
def test_every_ending_has_words_that_fit_into_a_close_frame(ending: Ending) -> None:
    for close in (ending.client, ending.upstream):
        assert close.reason
        assert len(close.reason.encode()) <= 123


@pytest.mark.parametrize(
    ("ending", "client", "upstream"),
    [
        (closing.lost(client=False), 1012, 1001),
        (closing.broken(client=False, own=Close(1007, "no UTF-8")), 1012, 1007),
        (closing.broken(client=True, own=Close(1002, "no")), 1002, 1001),
        (closing.too_large(client=True, most=1024), 1009, 1001),
        (closing.too_large(client=False, most=1024), 1009, 1009),
        (closing.STOPPING, 1012, 1001),
        (closing.OTHER_ACCOUNT, 1012, 1001),
        (closing.BUSY, 1012, 1001),
        (closing.SILENT, 1012, 1001),
        (closing.KEY_REVOKED, 1008, 1001),
        (closing.UNREADABLE, 1011, 1008),
    ],
)
def test_the_code_says_whether_to_connect_again(ending: Ending, client: int, upstream: int) -> None:
    assert (ending.client.code, ending.upstream.code) == (client, upstream)


def test_the_size_that_is_too_large_is_named() -> None:
    assert "the 1.5 MiB this proxy takes" in closing.too_large(client=True, most=3 * 1024**2 // 2).client.reason
