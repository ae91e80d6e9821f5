"""What is known of one exchange, and the rules about it."""

import time

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Account
from codemie_core.accounts.empty import Unusable
from codemie_core.accounts.pool import Ask, Choice
from codemie_core.accounts.turn import (
    AGAIN,
    Sent,
    Turn,
    base_paths,
    conversation_key,
    is_nobodys_fault,
    keeps_answers,
    path_below,
    problem_of,
    quits_on_429,
    wait_before_next,
    without,
    without_keys,
)
from codemie_core.accounts.verdicts import LIMITED, Act, Scope, Verdict
from codemie_core.accounts.way_out import way_out
from codemie_core.agents import ANTHROPIC_SDK, CLAUDE, CODEX, GEMINI, LITELLM, OPENCODE, UNKNOWN, Agent
from codemie_core.egress import Egress, parse_proxy
from codemie_core.exchange import Attempt
from codemie_core.policy import HARD_ATTEMPT_LIMIT, AttemptPlan, Decision, Failure, Reason, Release, Retry
from support.rotating import BODY, ORIGIN, account

MAIN, SPARE, ELSEWHERE = account("main"), account("spare"), account("elsewhere", "https://other.test")
KEY, OTHER_KEY = SecretStr("planted-one"), SecretStr("planted-two")
PATH = "/v1/messages"
NEXT, BENCHED = Verdict(Act.NEXT), Verdict(Act.NEXT, Scope.ACCOUNT, reason=LIMITED)


def turn(plan: AttemptPlan | None = None) -> Turn:
    sent = Sent("https", "api.test", 443, PATH, BODY)
    return Turn(Ask(ORIGIN, "opus"), Choice(MAIN, "why"), sent, PATH, BODY, plan or AttemptPlan(), moves=True)


def failed(number: int = 1, ago: float = 0.0) -> Attempt:
    attempt = Attempt(number, "api.test", 443, began=time.monotonic() - ago)
    attempt.failure = Failure(Reason.STATUS, status=429)
    return attempt


def test_a_fallback_model_changes_the_model_alone() -> None:
    one = turn()
    assert one.wanted(one.choice) == (BODY, PATH)
    assert one.wanted(Choice(SPARE, "why", model="haiku")) == (BODY.replace(b"opus", b"haiku"), PATH)
    assert one.model == "opus"
    one.take(one.ask, Choice(SPARE, "why", model="haiku"), KEY)
    assert one.model == "haiku"
    one.body = b"(compressed)"
    assert one.wanted(one.choice) is None


def test_only_another_account_counts_as_one_more_that_was_tried() -> None:
    one = turn()
    assert one.tried == 0
    one.take(one.ask, one.choice, KEY)
    assert one.tried == 1
    one.settled = True
    one.take(one.ask, one.choice, OTHER_KEY)
    assert (one.tried, one.secret, one.settled) == (1, OTHER_KEY, False)
    following, ask = Choice(SPARE, "why"), without(one.ask, one.choice)
    one.take(ask, following, KEY)
    assert (one.tried, one.choice, one.ask, one.secret) == (2, following, ask, KEY)
    assert "planted" not in repr(one)


def test_what_failed_is_left_out_of_the_next_question() -> None:
    ask = Ask(ORIGIN, "opus", "conversation", frozenset({"first"}))
    assert without(ask, Choice(MAIN, "")) == Ask(ORIGIN, "opus", "conversation", frozenset({"first", "main"}))
    # With its fallback model an account may fail and still be asked for the other one.
    assert without(ask, Choice(MAIN, "", model="haiku")).excluded == {"first", "main haiku"}


def test_an_outbound_proxy_of_its_own_is_an_accounts_way_out() -> None:
    proxy = parse_proxy("http://proxy.test:3128", "a test")
    one = turn(AttemptPlan(budget=7.0))
    assert one.plan_with(MAIN) is one.plan
    plan = one.plan_with(account("far", outbound_proxy=proxy))
    assert plan.budget == 7.0
    assert plan.egress == way_out(proxy)
    assert one.plan.egress == Egress()


@pytest.mark.parametrize(
    "number, ago, budget, in_time",
    [
        (1, 0.0, 60.0, True),
        (4, 30.0, 60.0, True),
        (1, 61.0, 60.0, False),
        (1, 6100.0, 0.0, True),
        (HARD_ATTEMPT_LIMIT, 0.0, 60.0, False),
    ],
)
def test_attempts_and_their_time_are_bounded(number: int, ago: float, budget: float, in_time: bool) -> None:
    attempts = [Attempt(1, "api.test", 443, began=time.monotonic() - ago), failed(number)]
    assert turn(AttemptPlan(budget=budget)).in_time(attempts) is in_time


@pytest.mark.parametrize(
    "agent, conversation, stored, key",
    [
        (CLAUDE, "c-1", False, "claude:c-1"),
        (UNKNOWN, "c-1", False, "unknown:c-1"),
        (GEMINI, None, False, "gemini@127.0.0.1"),
        (CODEX, "", False, "codex@127.0.0.1"),
        (OPENCODE, None, False, "opencode@127.0.0.1"),
        (ANTHROPIC_SDK, None, False, ""),
        (LITELLM, None, False, ""),
        (UNKNOWN, None, False, ""),
        (ANTHROPIC_SDK, None, True, "anthropic-sdk@127.0.0.1"),
        (CLAUDE, "c-1", True, "claude:c-1"),
    ],
)
def test_a_conversation_is_what_the_agent_calls_one(
    agent: Agent, conversation: str | None, stored: bool, key: str
) -> None:
    assert conversation_key(agent, conversation, "127.0.0.1", stored) == key


@pytest.mark.parametrize(
    "path, body, kept",
    [
        ("/v1/responses", b'{"input": "Hello"}', True),
        ("/v1/responses?x=1", b'{"previous_response_id": "resp_1"}', True),
        ("/v1/responses", b'{"store": true}', True),
        ("/v1/responses", b'{"store" : false}', False),
        ("/v1/responses", rb'{"input": "say \"store\": false"}', True),
        ("/v1/chat/completions", b"{}", False),
        ("/v1/messages", b"{}", False),
    ],
)
def test_answers_that_an_api_keeps_are_told(path: str, body: bytes, kept: bool) -> None:
    assert keeps_answers(path, body) is kept


@pytest.mark.parametrize(
    "agent, beta, quits",
    [
        (CLAUDE, "claude-code-20250219,oauth-2025-04-20", True),
        (CLAUDE, "claude-code-20250219", False),
        (CLAUDE, None, False),
        (OPENCODE, "oauth-2025-04-20", False),
    ],
)
def test_claude_code_with_a_subscription_is_known_by_what_it_announces(
    agent: Agent, beta: str | None, quits: bool
) -> None:
    assert quits_on_429(agent, {"anthropic-beta": beta}.get) is quits


@pytest.mark.parametrize(
    "path, prefix, below",
    [
        ("/v1/messages", "", "/v1/messages"),
        ("/api/v1/messages?x=/api", "/api", "/v1/messages?x=/api"),
        ("/api/v1/responses", "/api/v1", "/v1/responses"),
        ("/v1/responses", "/v1", "/v1/responses"),
        ("/x/v1beta/models/m:generateContent", "/x/v1beta", "/v1beta/models/m:generateContent"),
        ("/x/v1alpha2/m", "/x/v1alpha2", "/v1alpha2/m"),
        ("/api/api/x", "/api", "/api/x"),
    ],
)
def test_an_account_gets_the_path_without_the_targets_own_prefix(path: str, prefix: str, below: str) -> None:
    assert path_below(path, prefix) == below


@pytest.mark.parametrize(
    "path, below",
    [
        ("/api/v1/messages", "/v1/messages"),
        ("/api/deep/v1/messages?a=b", "/v1/messages?a=b"),
        ("/apiary/v1/messages", "/apiary/v1/messages"),
        ("/v1/messages", "/v1/messages"),
    ],
)
def test_a_client_may_have_asked_below_the_base_url_of_an_account(path: str, below: str) -> None:
    listed = (account("a", "https://api.test/api"), account("b", "https://api.test/api/deep"), MAIN, ELSEWHERE)
    bases = base_paths(listed)
    assert bases == {ORIGIN: ["/api/deep", "/api"]}
    assert path_below(path, "", bases[ORIGIN]) == below
    assert path_below("/api/v1/messages", "/other", bases[ORIGIN]) == "/api/v1/messages"


@pytest.mark.parametrize(
    "path, kept",
    [
        ("/v1beta/models/m:generateContent?key=planted", "/v1beta/models/m:generateContent"),
        ("/m?alt=sse&key=planted", "/m?alt=sse"),
        ("/m?key=planted&alt=sse", "/m?alt=sse"),
        ("/m?a=%20x+y&key=planted&access_token=planted&&b", "/m?a=%20x+y&&b"),
        ("/m?key=planted&key=planted", "/m"),
        ("/m?key=", "/m"),
        ("/m?key", "/m"),
        ("/m?%6bey=planted&a=%6b", "/m?a=%6b"),
        ("/m?API-Key=planted&api_key=planted&apikey=planted&token=planted&oauth_token=planted&b=1", "/m?b=1"),
        ("/m?subscription-key=planted&api-version=2", "/m?api-version=2"),
        ("/m?monkey=1&keys=2&xaccess_token=4&pageToken=5", "/m?monkey=1&keys=2&xaccess_token=4&pageToken=5"),
        ("/key=1?a&", "/key=1?a&"),
        ("/m?", "/m?"),
        ("/m", "/m"),
    ],
)
def test_a_key_in_the_query_is_taken_off_and_nothing_else(path: str, kept: str) -> None:
    assert without_keys(path) == kept


@pytest.mark.parametrize(
    "reused, decision, nobodys",
    [(True, Retry(0.0), True), (False, Retry(0.25), False), (True, Release(), False), (True, None, False)],
)
def test_a_stale_connection_is_nobodys_fault(reused: bool, decision: Decision | None, nobodys: bool) -> None:
    assert is_nobodys_fault(Failure(Reason.RESET, reused_connection=reused), decision) is nobodys


FAR = account("far", outbound_proxy=parse_proxy("http://proxy.test:3128", "a test"))
LIMIT, DOWN, UNREACHABLE = (Failure(Reason.STATUS, status=s) for s in (429, 503, 502))


@pytest.mark.parametrize(
    "failure, verdict, decision, following, wait",
    [
        (LIMIT, BENCHED, Release(), SPARE, 0.0),
        (LIMIT, NEXT, Release(), SPARE, 0.0),
        (Failure(Reason.STATUS, status=529), BENCHED, Retry(0.3), SPARE, 0.0),
        (Failure(Reason.FIRST_BYTE_TIMEOUT), NEXT, Release(), SPARE, 0.0),
        (Failure(Reason.ERROR_EVENT), NEXT, Retry(0.3), SPARE, 0.0),
        # A place that is down: policy knows how often and how soon.
        (DOWN, NEXT, Retry(0.3), SPARE, 0.3),
        (DOWN, NEXT, Release(), SPARE, None),
        (UNREACHABLE, NEXT, Retry(0.3), SPARE, 0.3),
        (Failure(Reason.RESET), NEXT, Retry(0.3), SPARE, 0.3),
        (Failure(Reason.CONNECT_FAILED), NEXT, Release(), SPARE, None),
        # Another place, or another way to it, may well be up.
        (DOWN, NEXT, Release(), ELSEWHERE, 0.0),
        (Failure(Reason.CONNECT_FAILED), NEXT, Retry(0.3), ELSEWHERE, 0.0),
        (Failure(Reason.CONNECT_TIMEOUT), NEXT, Release(), FAR, 0.0),
    ],
)
def test_the_next_account_waits_only_where_it_would_meet_the_same(
    failure: Failure, verdict: Verdict, decision: Decision, following: Account, wait: float | None
) -> None:
    assert wait_before_next(failure, verdict, decision, MAIN, following) == wait


def test_the_client_hears_why_there_is_no_account() -> None:
    reasons = (Unusable("main", LIMITED, 1030.0),)
    assert problem_of(AGAIN, 1000.0, False) is AGAIN
    heard = problem_of(reasons, 1000.0, False)
    assert (heard.status, heard.retry_after) == (429, 30)
    assert "main: limited" in heard.message
    assert problem_of(reasons, 1000.0, True).status == 503
