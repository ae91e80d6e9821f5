"""What a failed choice leaves out of the next one."""

from codemie_core.accounts.asking import Choice
from support.pools import named_account


def test_an_account_was_tried_for_the_clients_model_or_for_its_fallback() -> None:
    account = named_account("main")
    assert Choice(account, "").tried == "main"
    assert Choice(account, "", model="claude-x").tried == "main claude-x"
