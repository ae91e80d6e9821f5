"""All checks together, on homes that are new, in trouble, and full of secrets."""

import json
import time
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from codemie_core.demo.absent import closed_port
from codemie_core.doctor.checks import CHECKS
from codemie_core.doctor.examine import examine
from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.patient import surroundings
from support.stored import StoredHome

PLANTED = "planted-4711"


def test_ids_are_unique_and_rooms_stand_together() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    rooms = [check.room for check in CHECKS]
    assert rooms == sorted(rooms, key=rooms.index)


def test_a_new_home_has_no_problem_and_is_not_made(codemie_home: Path) -> None:
    found = examine(CHECKS, replace(surroundings(codemie_home), port=closed_port()))
    assert [one for one in found if one.level in ("problem", "warning") and one.room != "Installation"] == []
    assert not codemie_home.exists()


def test_what_is_wrong_has_a_fix_and_nothing_tells_a_secret(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    home.key("main", "https://api.anthropic.com", f"sk-{PLANTED}")
    places = Places(codemie_home)
    url = "https://codemie.invalid/code-assistant-api"
    session = Session(url, {"codemie_access_token": SecretStr(PLANTED)}, expires_at=time.time() - 60)
    CredentialStore(places).write(url, session)
    profile = {"provider": "ai-run-sso", "codeMieUrl": "https://codemie.invalid", "apiKey": PLANTED}
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
    places.write_private(places.proxy / "admin.token", PLANTED.encode())
    (places.proxy / "vault.key").chmod(0o644)
    environ = {
        "HTTPS_PROXY": f"http://ann:{PLANTED}@127.0.0.1:{closed_port()}",
        "ANTHROPIC_BASE_URL": f"http://ann:{PLANTED}@127.0.0.1:{closed_port()}",
        "ANTHROPIC_API_KEY": PLANTED,
        "CODEMIE_JWT_TOKEN": PLANTED,
        "CODEMIE_KEPT_FLOWS": PLANTED,
        "CODEMIE_KEYRING": "0",
    }
    found = examine(CHECKS, replace(surroundings(codemie_home, **environ), port=closed_port()))
    problems = {one.id for one in found if one.level == "problem"}
    assert {"sign_in", "vault", "permissions", "outbound_proxy", "base_urls", "settings", "upstream"} <= problems
    assert [one for one in found if one.level in ("problem", "warning") and not one.fix] == []
    assert PLANTED not in repr(found)
