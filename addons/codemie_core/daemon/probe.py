"""Asking a proxy for its health: the one question that tells a proxy from a process that only looks like one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SECONDS = 1.5
_LARGEST = 1024 * 1024
_ASK_INSTEAD = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}

SILENT = "it answers, but not /health: is local_endpoints switched off?"

State = Literal["ok", "unhealthy", "dead-socket"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`health` is what /health said; None when it said nothing that counts."""

    state: State
    words: str
    health: Mapping[str, Any] | None = None


def probe(address: str, seconds: float = SECONDS, run_id: str = "", ask: bool = True) -> Answer:
    """Ask for /health at "host:port"; no step of it waits longer than `seconds`. Without `ask` only connect.

    "dead-socket": nobody listens, or somebody who is not the proxy called `run_id`. "unhealthy": it takes connections
    and gives no answer. An answer that is none of /health is "ok" too, with no health: local_endpoints may be off.
    """
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(asked_at(host), int(port), timeout=seconds)
    try:
        connection.connect()
    except TimeoutError:
        return Answer("unhealthy", f"takes no connection within {seconds:g} s")
    except OSError as problem:
        return Answer("dead-socket", f"nobody listens on {address} ({problem.strerror or problem})")
    if not ask:
        connection.close()
        return Answer("ok", SILENT)
    try:
        connection.request("GET", "/health")
        found = _health(connection.getresponse().read(_LARGEST))
    except TimeoutError:
        return Answer("unhealthy", f"/health does not answer within {seconds:g} s")
    except (OSError, http.client.HTTPException):
        return Answer("unhealthy", "/health gives no answer that can be read")
    finally:
        connection.close()
    if found is None:
        return Answer("ok", SILENT)
    if run_id and found.get("run_id", run_id) != run_id:
        return Answer("dead-socket", f"another proxy has taken {address}", found)
    return Answer("ok", str(found["status"]), found)


def _health(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "status" in found else None


def asked_at(host: str) -> str:
    """Where a client on this machine finds what listens at that address."""
    bare = host.strip("[]")
    return _ASK_INSTEAD.get(bare, bare)
