import os
import threading
from pathlib import Path

import pytest

from codemie_core.admin.token import admin_token, read_token, token_file
from codemie_core.errors import SettingsError
from codemie_core.places import Places


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def test_a_token_is_made_once_and_only_its_owner_can_read_it(places: Places) -> None:
    first = admin_token(places)
    assert len(first.get_secret_value()) >= 43  # 256 bits
    assert token_file(places).stat().st_mode & 0o777 == 0o600
    assert admin_token(places) == read_token(places) == first
    assert [path.name for path in places.proxy.iterdir()] == ["admin.token"]


def test_reading_makes_none(places: Places) -> None:
    assert read_token(places) is None
    assert not places.proxy.exists()


def test_proxies_that_start_together_agree_on_one(places: Places) -> None:
    begin, found = threading.Barrier(8), []

    def start() -> None:
        begin.wait()
        found.append(admin_token(places).get_secret_value())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [token_file(places).read_text("ascii").strip()] * 8


def test_a_token_that_was_open_to_others_is_closed_with_a_word(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    token = admin_token(places)
    token_file(places).chmod(0o644)
    assert admin_token(places) == token
    assert token_file(places).stat().st_mode & 0o777 == 0o600
    assert "was open to others" in caplog.text
    assert token.get_secret_value() not in caplog.text


@pytest.mark.parametrize("content", ["", "short", "x" * 43 + "\nmore", "ä" * 43, "x" * 500])
def test_what_is_no_token_is_refused_and_never_shown(places: Places, content: str) -> None:
    places.write_private(token_file(places), content.encode())
    with pytest.raises(SettingsError, match="holds no token; remove it") as refused:
        admin_token(places)
    assert not content or content not in str(refused.value)


def test_a_link_in_its_place_is_not_followed(places: Places, tmp_path: Path) -> None:
    elsewhere = tmp_path / "theirs"
    elsewhere.write_text("t" * 43)
    places.ensure_private(places.proxy)
    token_file(places).symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="remove it, and a new token is made"):
        admin_token(places)
    assert elsewhere.stat().st_mode & 0o777 != 0o600


def test_a_pipe_in_its_place_holds_nobody_up(places: Places) -> None:
    places.ensure_private(places.proxy)
    os.mkfifo(token_file(places))
    with pytest.raises(SettingsError, match="holds no token"):
        admin_token(places)
