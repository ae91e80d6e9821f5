from pathlib import Path

from support.patient import surroundings


def test_a_setting_is_the_environments_before_the_files(codemie_home: Path) -> None:
    (codemie_home / "proxy").mkdir(parents=True)
    (codemie_home / "proxy" / "codemie.yaml").write_text("upstream_attempts: {ca_file: company.pem}\nsso_auth: 3\n")
    around = surroundings(codemie_home)
    assert around.setting("upstream_attempts", "ca_file") == "company.pem"
    assert around.setting("sso_auth", "url") == ""
    named = surroundings(codemie_home, CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE="own.pem")
    assert named.setting("upstream_attempts", "ca_file") == "own.pem"


def test_looking_makes_nothing(codemie_home: Path) -> None:
    around = surroundings(codemie_home)
    assert (around.running, around.daemon, around.layers.problems) == ((), None, [])
    assert not codemie_home.exists()
