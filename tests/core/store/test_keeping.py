"""How much is kept, known without a database."""

from codemie_core.store.keeping import Keeping
from support.elsewhere import elsewhere, outcomes


def test_ninety_days_one_gigabyte_and_payloads_for_a_day() -> None:
    assert Keeping() == Keeping(seconds=7_776_000.0, bytes=1_073_741_824, payload_seconds=86_400.0)


def test_it_loads_no_database_library() -> None:
    program = """
        for name in [name for name in sys.modules if name.startswith(("sqlalchemy", "alembic", "codemie_core"))]:
            del sys.modules[name]
        import codemie_core.store.keeping
        print(*sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic"}))
    """
    assert outcomes([elsewhere(program, {})]) == [""]
