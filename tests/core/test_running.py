"""The register of running proxies."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codemie_core import running
from codemie_core.places import Places
from codemie_core.running import (
    RunningProxy,
    process_started,
    remove_entry,
    running_proxies,
    this_process,
    write_entry,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home")


def entry(run_id: str = "one", started_at: float = 1.0, pid: int = 0, started: str = "") -> RunningProxy:
    own_pid, own_start = this_process()
    return RunningProxy(
        run_id, pid or own_pid, started or own_start, started_at, ("127.0.0.1:8080",), ("regular",), "1"
    )


def test_an_entry_is_read_as_it_was_written(places: Places) -> None:
    path = write_entry(places, entry())
    assert path.stat().st_mode & 0o777 == 0o600 or os.name == "nt"
    assert list(running_proxies(places)) == [entry()]
    remove_entry(places, "one")
    remove_entry(places, "one")
    assert list(running_proxies(places)) == []


def test_a_home_that_can_never_be_holds_no_entry_to_take_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove_entry(Places(tmp_path / "file" / "home"), "one")


def test_without_a_register_nothing_runs(places: Places) -> None:
    assert list(running_proxies(places)) == []


def test_the_oldest_comes_first(places: Places) -> None:
    for run_id, started_at in (("b", 3.0), ("a", 2.0), ("c", 1.0)):
        write_entry(places, entry(run_id, started_at))
    assert [found.run_id for found in running_proxies(places)] == ["c", "a", "b"]


def test_entries_of_processes_that_are_gone_are_removed(places: Places) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        gone = process.pid
    write_entry(places, entry("gone", pid=gone, started="123"))
    write_entry(places, entry("reused", started="another start of this very process id"))
    write_entry(places, entry("alive"))
    assert [found.run_id for found in running_proxies(places)] == ["alive"]
    assert [path.stem for path in places.run.iterdir()] == ["alive"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"addresses": 1, "mode": []}', '{"addresses": [], "mode": []}']
)
def test_entries_that_cannot_be_read_are_passed_over_and_stay(content: str, places: Places) -> None:
    places.ensure_private(places.run)
    (places.run / "odd.json").write_text(content)
    write_entry(places, entry())
    assert [found.run_id for found in running_proxies(places)] == ["one"]
    assert (places.run / "odd.json").exists()


def test_an_entry_of_a_newer_version_is_understood(places: Places) -> None:
    path = write_entry(places, entry())
    path.write_text(json.dumps({**json.loads(path.read_text()), "from_the_future": 1}))
    assert list(running_proxies(places)) == [entry()]


def test_a_process_is_told_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    pid, started = this_process()
    assert process_started(pid) == started != ""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        gone = process.pid
    assert process_started(gone) is None


def test_where_there_is_no_proc_ps_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path

    def without_proc(path: object) -> Path:
        return real(str(path).replace("/proc/", "/no-such-proc/"))

    monkeypatch.setattr(running, "Path", without_proc)
    try:
        started = process_started(os.getpid())
    except FileNotFoundError:
        pytest.skip("there is no ps here")
    assert started
    assert process_started(os.getpid()) == started
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        gone = process.pid
    assert process_started(gone) is None


def test_the_words_of_ps_are_the_same_in_another_language_and_on_a_journey(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a Mac's ps says of a start depends on both: a proxy would seem to be another one."""
    ps = tmp_path / "ps"
    ps.write_text('#!/bin/sh\necho "S    $LC_ALL $TZ"\n')
    ps.chmod(0o755)
    real = Path
    monkeypatch.setattr(running, "Path", lambda path: real(str(path).replace("/proc/", "/no-such-proc/")))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert process_started(1) == "C UTC"


linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux tells of processes")


@linux
def test_a_process_of_the_same_id_and_age_after_a_restart_of_the_machine_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid, started = this_process()
    monkeypatch.setattr(running, "_boot", lambda: "@the-next-boot")
    again = process_started(pid)
    assert again is not None
    assert (again != started, again.partition("@")[0]) == (True, started.partition("@")[0])


@linux
def test_a_process_may_be_called_anything() -> None:
    rename = "open('/proc/self/comm', 'wb').write(b'\\xff) Z \\xfe'); print(flush=True); input()"
    command = [sys.executable, "-c", rename]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process_started(process.pid)
        process.communicate(b"\n")


def test_on_a_disk_that_can_only_be_read_stale_entries_count_for_nothing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_entry(places, entry("gone", pid=999999, started="123"))
    write_entry(places, entry())

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    assert [found.run_id for found in running_proxies(places)] == ["one"]
