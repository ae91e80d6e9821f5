"""Where CodeMie's login page sends the browser with the new session.

CodeMie's backend knows nothing of it but the port: it can carry no `state`, and its path is the backend's choice. So
any path is taken.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from codemie_core.callback import CallbackServer
from codemie_core.sso.payload import session_in_query
from codemie_core.sso.session import Session


def session_callback(api_url: str, port: int = 0) -> CallbackServer[Session]:
    """A server that waits for a session of the CodeMie at `api_url`."""
    return CallbackServer(lambda target: session_in_query(urlsplit(target).query, api_url), port)
