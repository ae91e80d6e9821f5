"""The whole admin API, asked by a machine that knows only its own description: with the token, and without."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    CheckFunction,
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from codemie_core.demo.absent import closed_port
from codemie_core.places import Places
from support import showcase
from support.admin import Admin, admin_of
from support.history_cli import now_ms
from support.proxy import Mitmproxy
from support.stored import StoredHome

SEED = 20_261_121
WITH_TOKEN, WITHOUT = 4, 2
"""Examples of each kind, for each operation."""
MARK = "planted"
"""In the home's accounts, history and keys: nobody without the token is told any of it."""
ENDLESS = ("/api/requests/stream", "/api/logs/stream")
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
TURNED_AWAY = frozenset({401, 404, 405, 413, 415, 421, 429})
"""What a stranger may be answered: no body of any of them knows more than the request."""


@dataclass(frozen=True)
class Described:
    """A proxy with a past, and what it says of its API."""

    admin: Admin
    proxy: Mitmproxy
    schema: schemathesis.BaseSchema
    known: dict[str, list[str]]
    """Values of path parameters that there are, by the parameter."""
    document: dict[str, Any]

    def operations(self) -> Iterator[schemathesis.APIOperation]:
        for found in self.schema.get_all_operations():
            assert isinstance(found, Ok), found
            yield found.ok()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    home = tmp_path_factory.mktemp("schema") / ".codemie"
    nowhere = f"http://127.0.0.1:{closed_port()}"
    stored = StoredHome(home, {"CODEMIE_KEYRING": "0"})
    for number in range(6):
        stored.key(f"{MARK}-{number}", nowhere, f"{MARK}-secret", tags=(MARK,))
    showcase.fill(Places(home), {}, now_ms(), days=2)  # of these days: what is old, a proxy deletes
    # Whatever is asked for, nothing leaves this machine.
    env = {"CODEMIE_HOME": str(home), "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "NO_PROXY": "127.0.0.1"}
    with Mitmproxy("--mode", f"reverse:{nowhere}", env=env) as proxy, admin_of(proxy) as admin:
        document = admin.get("/openapi.json").raise_for_status().json()
        yield Described(admin, proxy, schemathesis.openapi.from_dict(document), known_to(admin), document)


def known_to(admin: Admin) -> dict[str, list[str]]:
    turns = admin.get("/api/requests", params={"limit": 5}).json()
    return {
        "account": [account["name"] for account in admin.get("/api/accounts").json()],
        # Without telemetry there is no /metrics, which is asked for too.
        "name": [
            name
            for name in (plugin["name"] for plugin in admin.get("/plugins").json()["plugins"])
            if name != "telemetry"
        ],
        "request_id": [turn["id"] for turn in turns],
        "session_id": [turn["sessionId"] for turn in turns],
    }


def asked(operation: schemathesis.APIOperation, mode: GenerationMode, examples: int, ask: Any) -> None:
    """Call `ask` with so many cases, the same ones each time."""

    @seed(SEED)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: Case) -> None:
        ask(case)

    each()


@pytest.mark.slow
def test_whatever_fits_the_description_or_not_is_answered_as_described(described: Described) -> None:
    wrong: list[str] = []
    answered: Counter[int] = Counter()
    for operation in described.operations():
        if operation.path in ENDLESS:
            continue
        for mode in GenerationMode:
            try:
                asked(operation, mode, WITH_TOKEN, lambda case: answered.update([checked(described, case)]))
            except Exception as problem:
                # Of every operation what is wrong with it, not only of the first one.
                wrong.append(f"{operation.label} ({mode.value}): {problem}")
    assert not wrong, "\n\n".join(wrong)
    assert answered.keys() >= {200, 204, 400, 404, 409, 422}, answered
    assert described.admin.get("/health/live").status_code == 200
    assert MARK not in described.proxy.log
    assert "Traceback" not in described.proxy.log


def checked(described: Described, case: Case) -> int:
    _help(described.known, case)
    headers = {"Authorization": f"Bearer {described.admin.token}"}
    answer = case.call(base_url=str(described.admin.base_url), headers=headers, timeout=60)
    case.validate_response(answer, checks=CHECKS, headers=headers)
    assert f"{MARK}-secret" not in answer.text
    return int(answer.status_code)


def _help(known: dict[str, list[str]], case: Case) -> None:
    """Nobody guesses a name, and few addresses that may be used."""
    random = Random(json.dumps([case.path, case.method, repr(case.body)]))
    for name in (case.path_parameters or {}).keys() & known.keys():
        if random.random() < 0.6:
            case.path_parameters[name] = random.choice(known[name])
    if isinstance(case.body, dict) and random.random() < 0.6:
        for name in ("baseUrl", "outboundProxy", "outboundProxyPassword", "serves", "fallbackModel"):
            case.body.pop(name, None)


def test_without_the_token_nothing_is_told_and_nothing_is_done(described: Described) -> None:
    def state() -> Any:
        return [described.admin.get(path).json() for path in ("/api/accounts", "/api/api-keys", "/api/audit")]

    def ask(case: Case) -> None:
        answer = case.call(base_url=str(described.admin.base_url), timeout=60)
        assert answer.status_code in TURNED_AWAY, (operation.label, answer.status_code)
        assert MARK not in answer.text

    before = state()
    for operation in described.operations():
        if operation.path != "/health/live":
            asked(operation, GenerationMode.POSITIVE, WITHOUT, ask)
    assert state() == before


def test_every_operation_is_described_with_a_summary_an_answer_and_its_problems(described: Described) -> None:
    seen = set()
    for path, operations in described.document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"], where
            assert operation["operationId"] not in seen, where
            seen.add(operation["operationId"])
            good = [answer for status, answer in operation["responses"].items() if status[0] == "2"]
            assert good, where
            if path not in ENDLESS and "204" not in operation["responses"]:
                assert all(schema_of(answer) for answer in good), where
    assert len(seen) > 40


def schema_of(answer: dict[str, Any]) -> Any:
    return [content.get("schema") for content in answer["content"].values()] != [{}]


@pytest.fixture(autouse=True)
def quiet() -> None:
    """The client library tells every call."""
    logging.getLogger("urllib3").setLevel(logging.WARNING)
