"""A script for mitmproxy: whatever host is asked for, the connection goes to one port of this machine.

`Mitmproxy(scripts=(..., stay_home.SCRIPT), env=stay_home.env(port))`. So an agent that believes it talks to its vendor
meets the scripted upstream, and nothing that a test planted can leave the machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__)
_VARIABLE = "STAY_HOME_PORT"
_HERE = ("127.0.0.1", "localhost", "::1")


class StayHome:
    """SNI and Host stay what they were."""

    def server_connect(self, data: Any) -> None:
        if data.server.address and data.server.address[0] not in _HERE:
            data.server.address = ("127.0.0.1", int(os.environ[_VARIABLE]))


def env(port: int) -> dict[str, str]:
    """The environment for the process."""
    return {_VARIABLE: str(port)}


addons = [StayHome()]
