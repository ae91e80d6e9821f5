"""Records keep secrets to themselves even while they wait."""

from pydantic import SecretStr

from codemie_core.credential import Credential
from codemie_core.logs.log_record import Answered, Asked, Ended, Flowing
from support import logged


def test_no_record_shows_the_credential_of_its_exchange() -> None:
    credential = Credential("https", "api.example.com", 443, "/", {"x-api-key": SecretStr("planted-9f")})
    exchange = logged.exchange(credentials=[credential])
    for record in (
        Asked(0.0, exchange, "m", "/", (), 0, None),
        Answered(0.0, exchange, 200, ()),
        Flowing(0.0, exchange, 1, 1),
        Ended(0.0, exchange, 1.0, None),
    ):
        assert "planted" not in repr(record)
        assert record.at == 0.0
