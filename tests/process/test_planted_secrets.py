"""Three hundred secrets through a real proxy that logs all it can: none is in a file, on the terminal or in a status.

They come in requests and in answers, plain and compressed, refused, echoed by upstreams that fail and quoted by an
addon that raises. A failure names kinds and surroundings, never a secret.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # ships no type information
import zstandard

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Cut, Step
from codemie_core.demo.upstream import Upstream
from support import attaching, cli
from support.access import door
from support.clients import Headers, Http1
from support.planted import CASES, SHAPED, Planted, planted
from support.proxy import BUNDLE, Mitmproxy

COUNT = 300
# Eight characters of a hexadecimal key are soon found in the ids of a long log.
TRACE = 12
PATH = "/v1/messages?beta=true"
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
OPTIONS = {
    "flow_detail": 1,
    "termlog_verbosity": "debug",
    "codemie_request_log_bodies": True,
    "codemie_request_log_body_bytes": 20_000,
    "codemie_request_log_every": 1,
    "codemie_upstream_attempts_backoff": "1ms",
}


@dataclass
class Exchange:
    """What is sent and how it is answered."""

    path: str = PATH
    headers: Headers = ()
    body: bytes = b"{}"
    step: Step = field(default_factory=Step)
    readable: bool = False
    """Whether the log shows a body with the canary beside the secret."""


type Way = Callable[[Planted, str], Exchange | None]


def one_line(secret: Planted) -> str | None:
    """The text as the value of a header."""
    text = secret.text.strip()
    return text if "\n" not in text and "\r" not in text and text.isascii() and text.isprintable() else None


def header(name: str, answered: bool = False) -> Way:
    def way(secret: Planted, canary: str) -> Exchange | None:
        if (line := one_line(secret)) is None:
            return None
        return Exchange(step=Step(headers=((name, line),))) if answered else Exchange(headers=((name, line),))

    return way


def in_request(coding: str = "") -> Way:
    def way(secret: Planted, canary: str) -> Exchange:
        body = f"{canary}\n{secret.text}".encode()
        headers = [("content-type", "application/json")]
        if coding:
            headers.append(("content-encoding", coding))
            body = CODINGS[coding](body)
        return Exchange(headers=headers, body=body, readable=True)

    return way


def in_answer(status: int = 200, coding: str = "", content_type: str = "application/json") -> Way:
    def way(secret: Planted, canary: str) -> Exchange:
        body = f"{canary}\n{secret.text}".encode()
        headers = [("content-type", content_type)]
        if coding:
            headers.append(("content-encoding", coding))
            body = CODINGS[coding](body)
        return Exchange(step=Step(status=status, headers=headers, body=body), readable=status < 500)

    return way


def as_event(secret: Planted, canary: str) -> Exchange:
    events = [sse(json.dumps({"delta": {"text": text}}), "content_block_delta") for text in (canary, secret.text)]
    return Exchange(body=b'{"stream": true}', step=Step(events=[*events, sse("{}", "message_stop")]), readable=True)


def cut_in_the_middle(secret: Planted, canary: str) -> Exchange:
    events = [sse(json.dumps({"delta": {"text": secret.text}}), "content_block_delta") for _ in range(2)]
    return Exchange(body=b'{"stream": true}', step=Step(events=events, cut=Cut.RESET, after_events=1))


def as_error_event(secret: Planted, canary: str) -> Exchange:
    event = sse(json.dumps({"type": "error", "error": {"message": secret.text}}), "error")
    return Exchange(body=b'{"stream": true}', step=Step(events=[event]))


def in_query(secret: Planted, canary: str) -> Exchange | None:
    line = one_line(secret)
    if line is None or not line.startswith("/") or " " in line:
        return None
    return Exchange(path=f"/v1/messages{line if '?' in line[:40] else '?x=1'}")


def as_model(secret: Planted, canary: str) -> Exchange | None:
    if secret.kind not in SHAPED:
        return None
    body = json.dumps({"model": secret.secret, "metadata": {"user_id": secret.secret}}).encode()
    return Exchange(headers=[("x-claude-code-session-id", secret.secret)], body=body)


def as_credential(secret: Planted, canary: str) -> Exchange | None:
    value = secret.secret.split("\0")[0]
    names = ("x-api-key", "x-goog-api-key", "proxy-authorization", "x-csrf-token")
    fields = [("authorization", f"Bearer {value}"), ("cookie", f"a=b; sid={value}"), *((name, value) for name in names)]
    return Exchange(headers=fields, step=Step(status=401))


WAYS: tuple[Way, ...] = (
    *(header("user-agent"), header("x-note"), header("x-codemie-note"), header("referer"), header("x-note", True)),
    *(in_request(), in_answer(), as_event, as_error_event, cut_in_the_middle, as_model, as_credential),
    *(in_request("gzip"), in_request("br"), in_request("zstd"), in_request("deflate")),
    *(in_answer(coding="gzip"), in_answer(coding="zstd"), in_answer(400), in_answer(429), in_answer(500)),
    *(in_answer(503), in_answer(502, content_type="text/html"), header("set-cookie", True), header("location", True)),
)


def exchanges() -> Iterator[tuple[Planted, str, Exchange]]:
    """Each secret by a way that can carry it, all of them that lie in a path in one."""
    # A step that shares no factor with the number of cases comes to every kind.
    step = next(step for step in range(4, 99) if all(step % p or len(CASES) % p for p in range(2, 99)))
    for number in range(COUNT):
        [secret] = planted(number, 1, first=number * step)
        canary = f"canary-{number}-"
        ways = (in_query, *(WAYS[(number + more) % len(WAYS)] for more in range(len(WAYS))))
        yield next((secret, canary, found) for way in ways if (found := way(secret, canary)) is not None)


def contents(paths: Iterable[Path]) -> dict[Path, str]:
    """What the files hold, the databases too: a character for every byte that is no text."""
    return {path: path.read_bytes().decode("utf-8", "replace") for path in paths}


def leaks(secrets: list[Planted], shown: str) -> set[str]:
    """What of them is to be read there. Looks up each stretch of the text: it is long, and so is their number."""
    whose = {trace: f"{secret.kind}, {secret.context}" for secret in secrets for trace in secret.traces(TRACE)}
    stretches = (shown[start : start + TRACE] for start in range(len(shown) - TRACE + 1))
    return {whose[stretch] for stretch in stretches if stretch in whose}


async def test_none_of_three_hundred_secrets_is_in_a_file_an_answer_of_ours_or_the_output(
    tmp_path: Path, codemie_home: Path
) -> None:
    plan = list(exchanges())
    outbound = "pLanted-0utbound-passw0rd"
    told: list[str] = []
    async with Upstream() as upstream:
        env = attaching.env(upstream.port, "attached-secret-8b", "elsewhere-secret-9c")
        env |= {"CODEMIE_DEBUG": "1", "HTTPS_PROXY": f"http://someone:{outbound}@127.0.0.1:{closed_port()}"}
        scripts = (BUNDLE, attaching.SCRIPT)
        with Mitmproxy("--mode", f"reverse:{upstream.url}", scripts=scripts, env=env, options=OPTIONS) as proxy:
            for number, (_, _, exchange) in enumerate(plan):
                upstream.script(then=exchange.step)
                async with Http1(proxy.port) as client:
                    await client.ask("POST", exchange.path, exchange.headers, exchange.body)
                if number % 10 == 0:
                    told.append(json.dumps(proxy.health()))
            told.append(cli.run("status", "--json", env=cli.environ()).out)
            told.append(cli.run("status", env=cli.environ()).out)
            assert proxy.stop() == 0
        told.append(proxy.log)
    files = contents(path for path in codemie_home.rglob("*") if path.is_file())
    log = "".join(text for path, text in files.items() if path.parent.name == "logs")
    assert log.count("[proxy-access]") >= COUNT
    shown = "\n".join((*files.values(), *told))
    leaked = leaks([secret for secret, _, _ in plan], shown)
    assert not leaked
    for secret in (outbound, "attached-secret-8b", "elsewhere-secret-9c"):
        found = secret in shown
        assert not found
    # The log did see them: what stood beside the secret is there.
    unseen = [f"{s.kind}, {s.context}" for s, canary, exchange in plan if exchange.readable and canary not in log]
    assert not unseen


async def test_wrong_client_keys_are_in_no_refusal_and_no_record_of_it() -> None:
    secrets = [secret for secret in planted(COUNT, len(CASES)) if secret.context in ("in prose", "header")]
    forms = ("Bearer {}", "{}", "Token {}")
    with door(env={"CODEMIE_DEBUG": "1"}, options=OPTIONS) as here:
        told = []
        for number, secret in enumerate(secrets):
            value = forms[number % len(forms)].format(secret.secret.split("\0")[0])
            for name in ("authorization", "x-api-key", "proxy-authorization"):
                async with Http1(here.proxy.port) as client:
                    answer = await client.ask("POST", PATH, [(name, value)], b"{}")
                    assert answer.status == 401
                told.append(str(answer))
        told.append(json.dumps(here.proxy.health()))
        told.append(cli.run("status", "--json", env=cli.environ()).out)
        here.proxy.stop()
        assert here.received() == []
    files = contents(here.written())
    log = "".join(text for path, text in files.items() if path.parent.name == "logs")
    assert log.count("status=401") == 3 * len(secrets)
    leaked = leaks(secrets, "\n".join((*told, here.proxy.log, *files.values())))
    assert not leaked
