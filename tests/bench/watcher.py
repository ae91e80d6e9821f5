"""Looks at the live view of a proxy, as a browser does: `python -m bench.watcher PORT` prints a line once it sees it.

The dashboard's page of requests by its WebSocket, and both streams of the API. PORT is where the proxy listens; it
looks at the one of its own CodeMie home. At the end of its input it prints how many messages came, and ends.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from codemie_core.places import Places
from codemie_core.running import running_proxies

PAGE = "/requests"
STREAMS = ("/api/requests/stream", "/api/logs/stream")
PATIENCE = 60.0


class Watcher:
    """Whoever has the page open. `messages` counts what it was told."""

    def __init__(self, home: Path, port: int) -> None:
        places = Places(home)
        self.base = f"127.0.0.1:{_admin_port(places, port)}"
        self.messages = dict.fromkeys((PAGE, *STREAMS), 0)
        self._token = {"authorization": f"Bearer {(places.proxy / 'admin.token').read_text().strip()}"}
        self._browser = httpx.Client(base_url=f"http://{self.base}", trust_env=False, timeout=PATIENCE)

    def open(self) -> None:
        """Sign in, show the page, listen to everything."""
        code = self._browser.post("/api/session/code", headers=self._token).raise_for_status().json()["code"]
        accept = {"accept": "text/html"}
        self._browser.get("/", params={"code": code}, headers=accept)
        page = self._browser.get(PAGE, headers=accept).raise_for_status().text
        begun = [threading.Event() for _ in self.messages]
        threading.Thread(target=self._watch, args=(page, begun[0]), daemon=True).start()
        for stream, event in zip(STREAMS, begun[1:], strict=True):
            threading.Thread(target=self._listen, args=(stream, event), daemon=True).start()
        for event in begun:
            if not event.wait(PATIENCE):
                raise RuntimeError("the live view cannot be seen")

    def _watch(self, page: str, begun: threading.Event) -> None:
        client = re.search(r"'client_id': '([^']+)'", page)
        assert client, "this is no page of NiceGUI's"
        about = {"client_id": client[1], "next_message_id": 0, "tab_id": str(uuid.uuid4())}
        about |= {"document_id": str(uuid.uuid4()), "old_tab_id": None}
        query = urllib.parse.urlencode({"EIO": 4, "transport": "websocket", **about})
        cookies = "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())
        address = f"ws://{self.base}/_nicegui_ws/socket.io/?{query}"
        with connect(
            address,
            origin=Origin(f"http://{self.base}"),
            additional_headers={"cookie": cookies},
            proxy=None,
            max_size=None,
        ) as socket:
            socket.recv()  # Engine.IO says how it is
            socket.send("40")
            socket.recv()
            socket.send("420" + json.dumps(["handshake", about]))
            begun.set()
            self._read(socket)

    def _read(self, socket: ClientConnection) -> None:
        try:
            for message in socket:
                if message == "2":
                    socket.send("3")
                elif isinstance(message, str) and message.startswith("42"):
                    self.messages[PAGE] += 1
        except ConnectionClosed:
            return

    def _listen(self, stream: str, begun: threading.Event) -> None:
        with (
            httpx.Client(base_url=f"http://{self.base}", headers=self._token, trust_env=False, timeout=None) as client,
            client.stream("GET", stream) as answer,
        ):
            for line in answer.iter_lines():
                begun.set()
                self.messages[stream] += line.startswith("data: {")


def _admin_port(places: Places, port: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for proxy in running_proxies(places):
            if any(address.endswith(f":{port}") for address in proxy.addresses) and proxy.admin_port:
                return proxy.admin_port
        time.sleep(0.05)
    raise RuntimeError(f"no proxy with an admin API listens on port {port}")


def main() -> None:
    import os

    watcher = Watcher(Path(os.environ["CODEMIE_HOME"]), int(sys.argv[1]))
    watcher.open()
    print("watching", flush=True)
    sys.stdin.read()
    print(json.dumps(watcher.messages), flush=True)


if __name__ == "__main__":
    main()
