"""The demo as a user runs it: real processes, and none of them left."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from support import forged
from support.cli import COMMAND, environ
from support.proxy import ADDONS

pytestmark = pytest.mark.slow

ONE_SCENE = """
import sys
from codemie_core.demo.scenes import SCENES
from codemie_core.demo.story import tell
sys.exit(tell(scenes=[scene for scene in SCENES if scene.title == sys.argv[1]]))
"""
PATIENCE = 240
"""Seconds until a demo on a machine with much else to do is given up."""


class Demo:
    """A running demo; remembers every process that it started."""

    def __init__(self, process: "subprocess.Popen[str]", temporary: Path) -> None:
        self.process, self.temporary = process, temporary
        self.started: set[psutil.Process] = set()
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                with suppress(psutil.NoSuchProcess):  # its last lines are read after its end
                    self.started.update(psutil.Process(self.process.pid).children(recursive=True))
                self.lines.append(line.rstrip())
                self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, words: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: words in self.text, PATIENCE), self.text

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(60)
        return code

    def left_behind(self) -> list[object]:
        return [*filter(lives, self.started), *self.temporary.iterdir()]


def lives(process: psutil.Process) -> bool:
    """Not where its end only has to be noted by its parent."""
    try:
        return process.is_running() and process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False


@contextmanager
def demo(temporary: Path, addons: Path = ADDONS, scene: str = "") -> Iterator[Demo]:
    """All of it as its command plays it, or one scene alone."""
    temporary.mkdir()
    env = environ(PYTHONPATH=str(addons), TMPDIR=str(temporary))
    command = [sys.executable, "-c", ONE_SCENE, scene] if scene else [*COMMAND, "demo"]
    process = forged.start(command, env, stderr=subprocess.STDOUT)
    try:
        yield Demo(process, temporary)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def sabotage(old: str, new: str, file: str) -> Callable[[Path], None]:
    def change(addons: Path) -> None:
        text = (addons / file).read_text()
        assert old in text, f"{file} has changed: this sabotage no longer works"
        (addons / file).write_text(text.replace(old, new))

    return change


def test_demo_plays_every_scene_and_leaves_nothing(tmp_path: Path, codemie_home: Path) -> None:
    with demo(tmp_path / "temporary") as running:
        code = running.end()
    assert code == 0, running.text
    assert [line[:3].strip() for line in running.lines if line[:2].strip().isdigit()] == [*"1234567"]
    assert re.search(r"Cost +\$0\.0864\n", running.text)
    assert "$0.0864435 is the price list's" in running.text
    assert "All 7 scenes went as promised" in running.text
    assert running.started  # at least one proxy was seen, so there was something to leave behind
    assert running.left_behind() == []
    assert not codemie_home.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda how: how.name)
def test_demo_interrupted_in_a_scene_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path / "temporary") as running:
        running.wait_for("1  A streamed answer")
        running.process.send_signal(how)
        code = running.end()
    assert code == 130
    assert running.started
    assert running.left_behind() == []
    assert "Traceback" not in running.text


@pytest.mark.parametrize(
    "scene, change",
    [
        (
            "An overloaded upstream",
            sabotage('("502", "503", "504", "529"), desc', '("502",), desc', "upstream_attempts.py"),
        ),
        (
            "A failing addon",
            sabotage("except passing:", "except BaseException:", "codemie_core/addon.py"),
        ),
        (
            "A limited account",
            sabotage("READ = frozenset({400, 401, 402, 429, 529})", "READ = frozenset()", "account_rotation.py"),
        ),
        (
            "What it cost",
            sabotage("rates.cache_write or rates.input", "rates.input", "codemie_core/usage/rates.py"),
        ),
    ],
)
def test_demo_names_the_scene_that_fails_and_leaves_nothing(
    scene: str, change: Callable[[Path], None], tmp_path: Path
) -> None:
    addons = tmp_path / "addons"
    # With their compiled files, which stay good: the copies are as old as the originals.
    shutil.copytree(ADDONS, addons)
    change(addons)
    with demo(tmp_path / "temporary", addons, scene) as running:
        code = running.end()
    assert code == 1, running.text
    assert f"Failed: {scene}." in running.text
    assert running.started  # at least one proxy was seen, so there was something to leave behind
    assert running.left_behind() == []
