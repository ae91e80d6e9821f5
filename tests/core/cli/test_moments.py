from datetime import datetime

import pytest

from codemie_core.cli.moments import moment_ms
from codemie_core.errors import SettingsError

NOW = datetime(2026, 11, 21, 13, 5).timestamp()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7d", datetime(2026, 11, 14, 13, 5)),
        ("1.5h", datetime(2026, 11, 21, 11, 35)),
        ("30m", datetime(2026, 11, 21, 12, 35)),
        ("now", datetime(2026, 11, 21, 13, 5)),
        ("Today", datetime(2026, 11, 21)),
        ("yesterday", datetime(2026, 11, 20)),
        ("2026-11-01", datetime(2026, 11, 1)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30)),
        ("2026-11-01 12:30:15", datetime(2026, 11, 1, 12, 30, 15)),
        ("2026-11-01T12:30Z", datetime.fromisoformat("2026-11-01T12:30Z")),
    ],
)
def test_moments_are_named_as_people_do(text: str, meant: datetime) -> None:
    assert moment_ms("--since", text, NOW) == round(meant.timestamp() * 1000)


def test_before_all_history_is_its_beginning() -> None:
    assert moment_ms("--since", "99999d", NOW) == 0
    assert moment_ms("--until", "9999-12-31", NOW) > NOW


@pytest.mark.parametrize("text", ["7", "last week", "2026-13-01", "-7d", "7d ago", "d", "nan"])
def test_what_nobody_can_mean_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(SettingsError, match=r'--since .*: write "7d", "24h"'):
        moment_ms("--since", text, NOW)
