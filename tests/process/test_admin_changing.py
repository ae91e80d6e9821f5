"""What operators change over the admin API: what the next request meets, what is told, what is kept secret."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support.access import until
from support.admin import Admin, admin_of
from support.proxy import Mitmproxy, reverse
from support.stored import StoredHome

KEY, OTHER_KEY, OWN = "planted-key-of-main", "planted-key-of-spare", "planted-key-of-the-client"
BODY = {"model": "demo-model", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


@pytest.fixture
def proxy(upstream: UpstreamThread) -> Iterator[Mitmproxy]:
    with reverse(upstream.url) as running:
        yield running
        assert "planted-" not in running.log


@pytest.fixture
def admin(proxy: Mitmproxy) -> Iterator[Admin]:
    with admin_of(proxy) as client:
        yield client


def sent(proxy: Mitmproxy, upstream: UpstreamThread) -> str | None:
    """With whose key a request of a client arrives."""
    post(proxy)
    return upstream.upstream.requests[-1].header("x-api-key")


def post(proxy: Mitmproxy) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}/v1/messages", json=BODY, headers={"x-api-key": OWN})


def done(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def add(admin: Admin, url: str, name: str, key: str, **more: object) -> Any:
    return done(admin.post("/api/accounts", json={"name": name, "apiKey": key, "baseUrl": url, **more}))


def test_what_is_changed_is_what_the_next_request_meets(
    admin: Admin, proxy: Mitmproxy, upstream: UpstreamThread
) -> None:
    # No waiting anywhere: what was answered is in force.
    assert sent(proxy, upstream) == OWN
    add(admin, upstream.url, "main", KEY)
    assert sent(proxy, upstream) == KEY
    add(admin, upstream.url, "spare", OTHER_KEY, priority=1)
    paused = done(admin.post("/api/accounts/main/pause", json={"reason": "holidays"}))
    assert (paused["account"]["state"], paused["account"]["pauseReason"]) == ("paused", "holidays")
    assert sent(proxy, upstream) == OTHER_KEY
    done(admin.post("/api/accounts/main/resume"))
    assert sent(proxy, upstream) == KEY
    done(admin.post("/api/accounts/main/priority", json={"priority": 5}))
    assert sent(proxy, upstream) == OTHER_KEY
    done(admin.post("/api/accounts/spare/key", json={"apiKey": "planted-third-key"}))
    assert sent(proxy, upstream) == "planted-third-key"
    done(admin.post("/api/accounts/spare/rename", json={"name": "day-job"}))
    done(admin.post("/api/accounts/day-job/model-mappings", json={"deny": ["demo-*"]}))
    assert sent(proxy, upstream) == KEY
    done(admin.request("DELETE", "/api/accounts/main", json={"confirm": "main"}))
    assert post(proxy).status_code == 400  # Nobody serves this model any more.
    gone = done(admin.request("DELETE", "/api/accounts/day-job", json={"confirm": "day-job"}))
    assert "clients' own keys pass through" in gone["notice"]
    assert sent(proxy, upstream) == OWN


def test_a_limit_that_is_forgotten_is_no_limit(admin: Admin, proxy: Mitmproxy, upstream: UpstreamThread) -> None:
    add(admin, upstream.url, "main", KEY)
    upstream.call(upstream.upstream.script, Step(status=429, headers=[("retry-after", "625")]))
    assert post(proxy).status_code == 429
    [limited] = done(admin.get("/api/accounts"))
    assert (limited["state"], limited["rateLimitStatus"]) == ("limited", "limited (10m)")
    assert limited["rateLimitedUntil"] is not None
    reset = done(admin.post("/api/accounts/main/force-reset-rate-limit"))
    assert (reset["account"]["state"], reset["account"]["rateLimitStatus"]) == ("ready", "OK")
    assert post(proxy).status_code == 200


def test_the_strategy_counts_at_once_and_a_pinned_one_says_what_holds_it(
    admin: Admin, upstream: UpstreamThread, tmp_path: Path
) -> None:
    add(admin, upstream.url, "main", KEY)
    assert done(admin.get("/api/strategies")) == ["session", "global-session", "least-used", "drain-soonest"]
    chosen = done(admin.post("/api/config/strategy", json={"strategy": "least-used"}))
    assert chosen == {"strategy": "least-used", "source": "store", "pinnedBy": None}
    assert done(admin.get("/api/config"))["lb_strategy"] == "least-used"
    wrong = admin.post("/api/config/strategy", json={"strategy": "least-usd"})
    assert (wrong.status_code, "did you mean 'least-used'" in wrong.json()["detail"]) == (400, True)
    with (
        reverse(upstream.url, options={"codemie_account_rotation_strategy": "session"}) as other,
        admin_of(other) as at,
    ):
        pinned = at.post("/api/config/strategy", json={"strategy": "drain-soonest"})
        assert pinned.status_code == 409
        assert "--set codemie_account_rotation_strategy" in pinned.json()["detail"]
        assert done(at.get("/api/config/strategy"))["strategy"] == "session"


def test_retention_is_kept_and_old_turns_go_when_asked(
    admin: Admin, proxy: Mitmproxy, upstream: UpstreamThread, codemie_home: Path
) -> None:
    add(admin, upstream.url, "main", KEY)
    for _ in range(3):
        assert post(proxy).status_code == 200
    database = codemie_home / "proxy" / "proxy.db"
    until(lambda: count(database) == 3)
    assert admin.post("/api/config/retention", json={"requestDays": 2}).status_code == 204
    assert done(admin.get("/api/config/retention")) == {"payloadDays": 1.0, "requestDays": 2.0}
    with sqlite3.connect(database) as rows:
        rows.execute("UPDATE requests SET started_ms = started_ms - 3 * 86400000 WHERE rowid % 3 = 0")
    cleaned = done(admin.post("/api/maintenance/cleanup"))
    assert (cleaned["removedRequests"], cleaned["removedPayloads"], cleaned["more"]) == (1, 0, False)
    assert count(database) == 2
    assert done(admin.post("/api/maintenance/compact"))["ok"]
    assert done(admin.post("/api/stats/reset"))["success"]
    assert count(database) == 0
    assert done(admin.get("/api/accounts"))[0]["totalRequests"] == 0


def count(database: Path) -> int:
    with sqlite3.connect(database) as rows:
        return int(rows.execute("SELECT count(*) FROM requests").fetchone()[0])


def test_a_client_key_is_told_once_and_closes_the_gate(admin: Admin, proxy: Mitmproxy) -> None:
    assert post(proxy).status_code == 200
    made = done(admin.post("/api/api-keys", json={"name": "ann"}))
    assert made["key"].startswith("cmk_")
    assert (made["first"], made["environment"]["OPENAI_API_KEY"]) == (True, made["key"])
    assert made["key"] not in admin.get("/api/api-keys").text
    until(lambda: post(proxy).status_code != 200)
    revoked = done(admin.delete(f"/api/api-keys/{made['id']}"))
    assert (revoked["active"], "nobody is let in" in revoked["notice"]) == (False, True)
    assert done(admin.get("/api/api-keys/stats")) == {"total": 1, "active": 0, "revoked": 1}
    assert admin.delete(f"/api/api-keys/{made['id']}").status_code == 404


def test_every_change_is_in_the_audit_trail_with_who_and_without_secrets(
    admin: Admin, upstream: UpstreamThread, codemie_home: Path
) -> None:
    add(admin, upstream.url, "main", KEY)
    page = admin.browser()
    done(page.post("/api/accounts/main/pause", json={"reason": "from the page"}))
    done(admin.post("/api/accounts/main/resume"))
    done(admin.post("/api/accounts/main/weight", json={"weight": 3}))
    done(admin.post("/api/accounts/main/key", json={"apiKey": OTHER_KEY}))
    done(admin.post("/api/config/strategy", json={"strategy": "least-used"}))
    made = done(admin.post("/api/api-keys", json={"name": "ann"}))
    admin.post("/api/config/retention", json={"payloadDays": 3})
    done(admin.post("/api/maintenance/cleanup"))
    done(admin.post("/api/accounts/main/force-reset-rate-limit"))
    done(admin.request("DELETE", "/api/accounts/main", json={"confirm": "main"}))
    trail: list[Any] = []
    cursor = ""
    while cursor is not None:
        found = done(admin.get("/api/audit", params={"limit": 4, "cursor": cursor}))
        trail, cursor = [*trail, *found["events"]], found["nextCursor"]
    told = [(event["event"], event["who"]) for event in reversed(trail)]
    for event in (
        *(("added", "admin api"), ("paused", "dashboard"), ("resumed", "admin api"), ("weight", "admin api")),
        *(("secret replaced", "admin api"), ("strategy", "admin api"), ("client key added", "admin api")),
        *(("cleanup", "admin api"), ("limits forgotten", "admin api"), ("removed", "admin api")),
    ):
        assert event in told
    assert any("payload_keep" in (event["reason"] or "") + event["event"] for event in trail)
    of_main = done(admin.get("/api/audit", params={"account": "main"}))["events"]
    assert {event["account"] for event in of_main} == {"main"}
    text = json.dumps(trail)
    assert not [secret for secret in (KEY, OTHER_KEY, made["key"]) if secret in text]
    for path in codemie_home.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # the proxy still runs, and its files come and go
            assert not path.is_file() or KEY.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "method, path, body, status, words",
    [
        ("POST", "/api/accounts/mian/pause", {}, 404, "did you mean 'main'"),
        ("POST", "/api/accounts/spare/rename", {"name": "main"}, 409, "already"),
        ("POST", "/api/accounts/main/priority", {"priority": -1}, 422, "priority"),
        ("POST", "/api/accounts/main/pause", {"reson": "x"}, 422, "reson"),
        ("DELETE", "/api/accounts/main", {"confirm": "spare"}, 400, "main"),
        ("POST", "/api/accounts", {"name": "main", "apiKey": "planted-x", "baseUrl": "URL"}, 409, "already"),
        ("POST", "/api/accounts", {"name": "x", "apiKey": "planted x"}, 400, "one word of ASCII"),
        ("POST", "/api/accounts", {"name": "x", "provider": "antropic", "apiKey": "planted"}, 400, "anthropic"),
        ("POST", "/api/accounts", {"name": "x", "apiKey": "planted", "baseUrl": "http://far.test"}, 400, "baseUrl"),
        ("POST", "/api/accounts", {"name": "x", "apiKey": "planted", "command": "id"}, 422, "command"),
        ("POST", "/api/accounts/main/custom-endpoint", {"baseUrl": "https://far.test"}, 409, "give it again"),
        ("POST", "/api/oauth/init", {"provider": "anthropic"}, 409, "no client id is set"),
        ("POST", "/api/oauth/init", {"provider": "antropic"}, 400, "did you mean 'anthropic'"),
        ("POST", "/api/oauth/callback", {"sessionId": "unknown-session", "code": "planted-a#b"}, 404, "not known"),
        ("POST", "/api/config/retention", {}, 400, "payloadDays"),
        ("POST", "/api/api-keys", {"name": " "}, 400, "no name for a key"),
        ("GET", "/api/audit?cursor=xx", None, 400, "cursor"),
        ("GET", "/api/token-health/account/mian", None, 404, "did you mean"),
    ],
)
def test_what_cannot_be_done_is_a_problem_that_says_what_helps(
    method: str, path: str, body: Any, status: int, words: str, shared: tuple[Admin, str]
) -> None:
    admin, url = shared
    if body and body.get("baseUrl") == "URL":
        body["baseUrl"] = url
    before = admin.get("/api/accounts").json()
    answer = admin.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert "planted" not in answer.text
    assert admin.get("/api/accounts").json() == before


@pytest.fixture(scope="module")
def shared(upstream: UpstreamThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Admin, str]]:
    home = tmp_path_factory.mktemp("shared") / ".codemie"
    stored = StoredHome(home, {"CODEMIE_KEYRING": "0"})
    for name in ("main", "spare"):
        stored.key(name, upstream.url, f"planted-{name}")
    with reverse(upstream.url, env={"CODEMIE_HOME": str(home)}) as proxy, admin_of(proxy) as admin:
        yield admin, upstream.url


def test_an_account_is_told_as_ccflare_tells_it_and_more(shared: tuple[Admin, str]) -> None:
    admin, url = shared
    main, spare = done(admin.get("/api/accounts"))
    assert main == done(admin.get("/api/accounts/main")) == done(admin.get(f"/api/accounts/{main['id']}"))
    ccflares = {
        *("id", "name", "provider", "requestCount", "totalRequests", "lastUsed", "created", "paused", "tokenStatus"),
        *("tokenExpiresAt", "rateLimitStatus", "rateLimitReset", "rateLimitRemaining", "sessionInfo"),
    }
    assert ccflares <= main.keys()
    expected = {"name": "main", "state": "ready", "customEndpoint": url, "tokenStatus": "valid", "lastUsed": None}
    assert expected.items() <= main.items()
    assert main["secret"] == {"source": "vault", "place": ""}
    assert spare["name"] == "spare"
    health = done(admin.get("/api/token-health"))
    assert [(one["name"], one["status"]) for one in health["accounts"]] == [("main", "key"), ("spare", "key")]


def test_a_key_is_tried_at_its_provider_and_a_stored_one_goes_nowhere_else(
    shared: tuple[Admin, str], upstream: UpstreamThread
) -> None:
    admin, url = shared
    before = len(upstream.upstream.requests)
    tried = done(admin.post("/api/accounts/main/test"))
    assert (tried["status"], tried["secretAccepted"], tried["models"]) == (200, True, 1)
    assert upstream.upstream.requests[before].header("x-api-key") == "planted-main"
    with UpstreamThread() as elsewhere:
        refused = admin.post("/api/accounts/main/custom-endpoint", json={"baseUrl": elsewhere.url})
        assert refused.status_code == 409
        given = {"baseUrl": elsewhere.url, "apiKey": "planted-new"}
        done(admin.post("/api/accounts/main/custom-endpoint", json=given))
        done(admin.post("/api/accounts/main/test"))
        assert [one.header("x-api-key") for one in elsewhere.upstream.requests] == ["planted-new"]
    done(admin.post("/api/accounts/main/custom-endpoint", json={"baseUrl": url, "apiKey": "planted-main"}))


@pytest.mark.parametrize("path", ["/api/accounts", "/api/oauth/providers", "/api/audit", "/api/api-keys"])
def test_nothing_is_told_without_the_token(path: str, shared: tuple[Admin, str]) -> None:
    admin, _ = shared
    with admin.stranger() as stranger:
        answer = stranger.get(path)
    assert answer.status_code == 401
    assert "main" not in answer.text
