import pytest

from codemie_core.accounts.roster import NoSuchAccount, accounts, one, past_id, statuses
from codemie_core.accounts.state import Cooldown
from codemie_core.cli.accounts_book import Book
from support.accounts_cli import add, call

HOUR = 3600.0


def test_those_that_go_first_stand_at_the_top() -> None:
    for name, priority in (("b", "1"), ("a", "1"), ("z", "0")):
        add(name, "--priority", priority, secret=f"planted-{name}")
    with Book().reading() as connection:
        assert [account.name for account in accounts(connection)] == ["z", "a", "b"]


def test_a_name_or_an_id_finds_an_account_also_one_that_is_gone() -> None:
    add("main")
    with Book().reading() as connection:
        account = one(connection, "main")
        assert one(connection, account.id) == account
    call("remove", "main", "--yes")
    with Book().reading() as connection:
        assert past_id(connection, "main") == past_id(connection, account.id) == account.id
        with pytest.raises(NoSuchAccount, match="there are no accounts yet"):
            one(connection, "main")


def test_a_state_is_that_of_the_time_it_is_asked_for() -> None:
    from codemie_core.store.pool import save_changes

    add("main")
    book = Book()
    now = book.clock()
    with book.writing() as connection:
        account = one(connection, "main")
        save_changes(connection, [Cooldown(account.id, "", now + HOUR, "limited", True, 0, now)])
    with book.reading() as connection:
        found = [statuses(connection, [account], at)[account.id].state for at in (now, now + HOUR + 1)]
    assert found == ["limited", "ready"]
