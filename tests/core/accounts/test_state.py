"""What outlives the process."""

import dataclasses

from codemie_core.accounts.state import Cooldown

LIMITED = Cooldown("id", "", until=160.0, reason="limited", verified=True, streak=1, since=100.0)


def test_a_cooldown_is_over_once_it_ends_where_it_begins() -> None:
    assert not LIMITED.over
    assert dataclasses.replace(LIMITED, since=130.0, until=130.0).over
