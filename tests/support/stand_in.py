"""Stands in for `codemie-proxy start`: it enters the register and answers /health, or does what it is told not to.

`python -m support.stand_in ARGUMENTS`, with CODEMIE_HOME. The file `behavior` in that home says how: "well", "exit 3"
(before it serves), "hang" (takes connections, answers nobody), "silent" (leaves /health to its upstream), "busy" (has
two requests open beside the one for its health), "idle" (these are WebSockets on which nobody waits). Read at every
start and for every request.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

from codemie_core.daemon import supervisor
from codemie_core.places import Places
from codemie_core.running import RunningProxy, remove_entry, this_process, write_entry

SUPERVISOR = (sys.executable, "-m", "support.stand_in", "supervise")
COMMAND = (sys.executable, "-m", "support.stand_in")
RUN_ID = str(uuid4())


def behavior(places: Places) -> str:
    try:
        return (places.home / "behavior").read_text()
    except OSError:
        return "well"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        places = Places.from_env(os.environ)
        told = behavior(places)
        (places.home / "asked").touch()
        if told == "hang":
            time.sleep(60)
        counters = {"exchanges": {"open": 3 if told in ("busy", "idle") else 1}}
        guard = {"name": "websocket_guard", "details": {"open": 2, "idle": 2 if told == "idle" else 0}}
        health = {"status": "ok", "run_id": RUN_ID, "addons": [guard], "counters": counters}
        body = b"" if told == "silent" else json.dumps(health).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def supervise(order: str) -> int:
    """`codemie_core.daemon.supervisor` with the stand-in as its proxy."""
    return supervisor.main([order], command=COMMAND)


def main() -> None:
    places = Places.from_env(os.environ)
    print(f"stand-in: {' '.join(sys.argv[1:])}", flush=True)
    told = behavior(places)
    if told.startswith("exit "):
        sys.exit(int(told.removeprefix("exit ")))
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    pid, started = this_process()
    address = f"127.0.0.1:{server.server_address[1]}"
    entry = RunningProxy(
        RUN_ID, pid, started, time.time(), (address,), ("regular",), "1", answers_health=told != "silent"
    )
    write_entry(places, entry)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.02)
    remove_entry(places, RUN_ID)


if __name__ == "__main__":
    if sys.argv[1] == "supervise":
        sys.exit(supervise(sys.argv[2]))
    main()
