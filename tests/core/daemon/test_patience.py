from codemie_core.daemon.patience import MISSES, STEADY, WAITS, Patience


def test_three_restarts_in_a_row_wait_longer_each_time_and_there_is_no_fourth() -> None:
    patience = Patience()
    assert [patience.wait(served=0.5) for _ in range(4)] == [1.0, 2.0, 4.0, None]


def test_who_served_for_a_while_begins_a_new_row() -> None:
    patience = Patience()
    for _ in WAITS:
        patience.wait(served=0.5)
    assert patience.wait(served=STEADY) == WAITS[0]


def test_one_look_without_an_answer_is_no_failure() -> None:
    patience = Patience()
    seen = [patience.seen(well) for well in (False, False, True, False, False, False)]
    assert seen == [False, False, False, False, False, True]
    assert MISSES == 3


def test_a_restart_forgets_the_looks_before_it() -> None:
    patience = Patience()
    patience.seen(False)
    patience.seen(False)
    patience.wait(served=1.0)
    assert not patience.seen(False)
