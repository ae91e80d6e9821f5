"""The key that an agent shows to a proxy that asks for client keys: where others have them, its user needs one, too."""

from __future__ import annotations

from collections.abc import Mapping

from codemie_core.access.client_keys import MARK, KeyStore
from codemie_core.errors import SettingsError
from codemie_core.launch.agents import LaunchAgent
from codemie_core.places import Places

VARIABLE = "CODEMIE_CLIENT_KEY"
NONE = (
    "the proxies of this home ask for client keys, and {title} has none: make one with `codemie-proxy keys add NAME` "
    f"and set {VARIABLE} to it"
)


def client_key(agent: LaunchAgent, places: Places, environ: Mapping[str, str]) -> tuple[str, str]:
    """The key, "" where nobody asks for one; and what to say when there is none."""
    try:
        asks = len(KeyStore(places).ring()) > 0
    except SettingsError:
        return "", ""  # Nobody is let in, and the proxy itself says why.
    if not asks:
        return "", ""
    values = (environ.get(name, "") for name in agent.key_variables)
    found = environ.get(VARIABLE) or next((value for value in values if value.startswith(MARK)), "")
    return found, "" if found else NONE.format(title=agent.title)
