"""The command line of the scripted upstream; the first line it prints is its URL."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from collections.abc import Sequence

from codemie_core.demo.presets import PRESETS, preset
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    asyncio.run(_serve(_arguments(argv)))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m codemie_core.demo.upstream",
        description="A model API that exists on this machine only, and fails on demand.",
        epilog=f"Faults: {', '.join(PRESETS)}.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--script", default="", help="faults for the first requests, separated by commas")
    parser.add_argument("--then", help="the fault of every request after them (default: proper answers)")
    parser.add_argument("--fault-header", action="store_true", help="obey the header x-demo-fault: FAULT")
    parser.add_argument("--prefix", default="", help="a path that stands before every API path")
    parser.add_argument("--events", type=int, help="text deltas of a stream")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between two events")
    parser.add_argument("--stamp", action="store_true", help="write the time of sending into each delta")
    parser.add_argument("--text-bytes", type=int, help="size of the text in an answer")
    parser.add_argument("--cert", help="certificate chain for TLS, PEM")
    parser.add_argument("--key", help="key of the certificate, PEM")
    parser.add_argument("--no-http2", action="store_true", help="offer HTTP/1.1 only")
    arguments = parser.parse_args(argv)
    try:
        arguments.steps = [preset(name) for name in arguments.script.split(",") if name]
        arguments.last = preset(arguments.then) if arguments.then else _answer(arguments)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _answer(arguments: argparse.Namespace) -> Step:
    size = arguments.text_bytes
    return Step(
        events=arguments.events,
        interval=arguments.interval,
        stamp=arguments.stamp,
        text=None if size is None else ("word " * (size // 5 + 1))[:size],
    )


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tls = None
    if arguments.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.cert, arguments.key)
    upstream = Upstream(
        tls,
        arguments.host,
        arguments.port,
        http2=not arguments.no_http2,
        prefix=arguments.prefix,
        fault_header=arguments.fault_header,
        keep=0,
    )
    upstream.script(*arguments.steps, then=arguments.last)
    async with upstream:
        print(upstream.url, flush=True)
        await stop.wait()
