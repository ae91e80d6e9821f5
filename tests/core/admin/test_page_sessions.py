import pytest

from codemie_core.admin.page_sessions import CODE_SECONDS, MOST_CODES, MOST_SESSIONS, SESSION_SECONDS, PageSessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> PageSessions:
    return PageSessions(clock)


def signed_in(sessions: PageSessions) -> str:
    session = sessions.redeem(sessions.make_code())
    assert session is not None
    return session


def test_a_code_opens_one_session_once(sessions: PageSessions) -> None:
    code = sessions.make_code()
    session = sessions.redeem(code)
    assert session is not None
    assert session != code
    assert sessions.holds(session)
    assert sessions.redeem(code) is None
    assert len(sessions) == 1


@pytest.mark.parametrize("seconds, opens", [(CODE_SECONDS - 1, True), (CODE_SECONDS, False)])
def test_a_code_is_good_for_a_minute(sessions: PageSessions, clock: Clock, seconds: float, opens: bool) -> None:
    code = sessions.make_code()
    clock.now += seconds
    assert (sessions.redeem(code) is not None) == opens


@pytest.mark.parametrize("seconds, open_still", [(SESSION_SECONDS - 1, True), (SESSION_SECONDS, False)])
def test_a_session_ends_after_twelve_hours(
    sessions: PageSessions, clock: Clock, seconds: float, open_still: bool
) -> None:
    session = signed_in(sessions)
    clock.now += seconds
    assert sessions.holds(session) == open_still


@pytest.mark.parametrize("word", ["", "x" * 43, "\udcff", "ä"])
def test_made_up_words_open_nothing(sessions: PageSessions, word: str) -> None:
    signed_in(sessions)
    sessions.make_code()
    assert not sessions.holds(word)
    assert sessions.redeem(word) is None


def test_a_code_is_no_session_and_a_session_no_code(sessions: PageSessions) -> None:
    session, code = signed_in(sessions), sessions.make_code()
    assert not sessions.holds(code)
    assert sessions.redeem(session) is None


def test_who_signs_out_is_out(sessions: PageSessions) -> None:
    session, other = signed_in(sessions), signed_in(sessions)
    sessions.end(session)
    assert not sessions.holds(session)
    assert sessions.holds(other)


def test_both_are_bounded_and_the_oldest_makes_room(sessions: PageSessions) -> None:
    opened = [signed_in(sessions) for _ in range(MOST_SESSIONS + 1)]
    assert [sessions.holds(session) for session in opened] == [False] + [True] * MOST_SESSIONS
    codes = [sessions.make_code() for _ in range(MOST_CODES + 1)]
    assert sessions.redeem(codes[0]) is None
    assert sessions.redeem(codes[1]) is not None
