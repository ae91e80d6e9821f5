import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

from codemie_core import seams
from codemie_core.doctor import installation
from codemie_core.seams import install
from codemie_core.seams.shape import Shape
from support.patient import levels, surroundings, told


def test_the_interpreter_that_runs_this_will_do(codemie_home: Path) -> None:
    (found, *_) = installation.python(surroundings(codemie_home))
    assert found.level == "ok"
    assert sys.executable in found.what


@pytest.mark.parametrize("version, level", [((3, 11), "problem"), ((3, 12), "ok"), ((3, 13), "ok"), ((3, 14), "note")])
def test_an_interpreter_is_judged_by_its_version(
    version: tuple[int, int], level: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert next(iter(installation.python(surroundings(codemie_home)))).level == level


def test_text_that_is_no_utf_8_is_told(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "ISO-8859-1")
    assert "warning" in levels(installation.python(surroundings(codemie_home)))


def test_the_mitmproxy_beside_us_is_a_tested_one(codemie_home: Path) -> None:
    assert "problem" not in levels(installation.mitmproxy(surroundings(codemie_home)))


def test_a_mitmproxy_of_another_shape_is_a_problem_with_the_way_back(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = Shape("upstream attempts", ("json:loads",), frozenset({"0000"}))
    monkeypatch.setattr(install, "SHAPE", strange)
    monkeypatch.setattr(install, "installed", lambda: False)
    (found,) = installation.mitmproxy(surroundings(codemie_home))
    assert found.level == "problem"
    assert found.fix == installation.install_line("--force-reinstall", "mitmproxy==12.2.3")


SHAPES = [
    name
    for name in (f"codemie_core.seams.{module.name}" for module in pkgutil.iter_modules(seams.__path__))
    if hasattr(importlib.import_module(name), "SHAPE")
]


@pytest.mark.parametrize("name", SHAPES)
def test_every_internal_that_we_build_on_is_looked_at(
    name: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "SHAPE", Shape("this", ("json:loads",), frozenset({"0000"})))
    if hasattr(module, "installed"):
        monkeypatch.setattr(module, "installed", lambda: False)
    found = [one for one in installation.mitmproxy(surroundings(codemie_home)) if "internals for this" in one.what]
    # Without the first two no start succeeds.
    stops = name.rpartition(".")[2] in ("install", "tunnel")
    assert levels(found) == ["problem" if stops else "warning"]


def test_without_mitmproxy_nothing_works(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mitmproxy" or ".seams" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mitmproxy", None)
    (found,) = installation.mitmproxy(surroundings(codemie_home))
    assert (found.level, found.what.partition(":")[0]) == ("problem", "mitmproxy cannot be loaded")
    assert found.fix.endswith("'mitmproxy>=12.2,<13'")


def test_libraries_that_are_missing_are_named_with_what_is_lost(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None if name in ("textual", "psycopg") else object())
    found = list(installation.extras(surroundings(codemie_home, CODEMIE_DATABASE_URL="postgresql://h/d")))
    assert told(found)[1:] == [
        ("note", "top is not installed: no codemie-proxy top"),
        ("problem", "postgres is not installed: no the database that CODEMIE_DATABASE_URL names"),
    ]
    assert found[1].fix == installation.extra_line("top")


def test_libraries_are_installed_where_this_python_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/my venv/bin/python")
    root = installation._ROOT
    here = f"-c {root}/constraints.txt -e '{root}[top]'"
    assert installation.extra_line("top") == f"'/my venv/bin/python' -m pip install {here}"
    # An environment that uv has made has no pip.
    monkeypatch.setattr(installation, "find_spec", lambda _: None)
    assert installation.extra_line("top") == f"uv pip install --python '/my venv/bin/python' {here}"
    # A wheel has no checkout around it.
    monkeypatch.setattr(installation, "_ROOT", tmp_path)
    assert installation.extra_line("top") == "uv pip install --python '/my venv/bin/python' 'codemie-proxy[top]'"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ["ok"]),
        ("connection_strategy: lazy\nssl_insecure: false\n", ["ok"]),
        ("stream_large_bodies: 1m\n", ["problem"]),
        ("connection_strategy: eager\n", ["problem"]),
        ("ssl_insecure: true\nbody_size_limit: 1m\n", ["warning", "warning"]),
        ("codemie_hosts: [a.example]\n", ["warning"]),
        ("a: [\n", ["problem"]),
    ],
)
def test_settings_of_mitmproxys_own_that_are_in_the_way(text: str, expected: list[str], codemie_home: Path) -> None:
    folder = codemie_home.parent / ".mitmproxy"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    assert levels(installation.mitmproxy_settings(surroundings(codemie_home))) == expected


def test_without_settings_of_mitmproxys_own_nothing_is_in_the_way(codemie_home: Path) -> None:
    assert levels(installation.mitmproxy_settings(surroundings(codemie_home))) == ["ok"]
