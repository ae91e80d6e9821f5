"""The wheel works without the checkout: built, installed and run in a folder that knows nothing of the sources."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from codemie_core import __version__
from support.proxy import Mitmproxy

ROOT = Path(__file__).resolve().parents[2]
ADDONS = ROOT / "addons"


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that holds the wheel."""

    wheel: Path
    python: Path
    packages: Path
    """Its site-packages."""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built and installed without a network: the environment borrows the libraries of the one running the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A plain path line: an editable install of this project over there is not followed.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(wheel, python, packages)


def test_wheel_holds_the_source_root_and_nothing_else(installed: Installed) -> None:
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ADDONS).as_posix()
        for path in ADDONS.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == sources
    assert {"codemie.py", "codemie_core/__init__.py", "codemie_core/py.typed"} <= names


def test_metadata_names_version_license_and_python(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    for line in (f"Version: {__version__}", "License-Expression: MIT", "Requires-Python: >=3.12"):
        assert f"\n{line}\n" in metadata


def test_installed_modules_come_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    code = "import codemie_core, codemie_core.cli.app as app; print(codemie_core.__file__); print(app.__file__)"
    for line in run(installed.python, "-c", code, cwd=tmp_path).splitlines():
        assert Path(line).is_relative_to(installed.packages)


def test_console_script_tells_its_version(installed: Installed, tmp_path: Path) -> None:
    assert __version__ in run(installed.python.parent / "codemie-proxy", "version", cwd=tmp_path)


def test_installed_bundle_runs_outside_the_checkout(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # An upstream that is down: /health is answered all the same.
    with Mitmproxy(
        *("--mode", "reverse:http://127.0.0.1:9"),
        scripts=[installed.packages / "codemie.py"],
        command=[str(installed.python), "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"],
    ) as proxy:
        proxy.wait_for_log("codemie-proxy .* is running")
        assert proxy.health()["version"] == __version__
