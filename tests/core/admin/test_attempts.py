from codemie_core.admin.attempts import MOST, WITHIN, Attempts


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_failures_are_answered_in_earnest_and_the_next_is_told_to_wait() -> None:
    attempts = Attempts(Clock())
    assert [attempts.failed() for _ in range(MOST + 1)] == [0] * MOST + [60]


def test_the_wait_is_over_when_the_oldest_failure_is_a_minute_old() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST):
        attempts.failed()
        clock.now += 1
    wait = attempts.failed()
    assert wait == WITHIN - MOST
    clock.now += wait - 0.5
    assert attempts.failed() == 1
    clock.now += 0.5
    assert attempts.failed() == 0


def test_whoever_goes_on_all_the_same_does_not_wait_longer_for_it() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST + 50):
        attempts.failed()
    clock.now += WITHIN
    assert attempts.failed() == 0
