"""One at a time, across processes, and free again however the holder ended."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codemie_core.metrics.lease import Lease
from codemie_core.places import Places
from support.cli import environ

HOLDER = """
import sys, time
from pathlib import Path
from codemie_core.metrics.lease import Lease
from codemie_core.places import Places
print(Lease(Places(Path(sys.argv[1]))).take(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def test_only_one_has_it(places: Places) -> None:
    first, second = Lease(places), Lease(places)
    assert first.take()
    assert not second.take()
    assert not first.take(), "a second round of the same process"
    first.release()
    assert second.take()
    second.release()


def test_giving_back_what_one_does_not_have_takes_it_from_nobody(places: Places) -> None:
    first, second = Lease(places), Lease(places)
    assert first.take()
    second.release()
    assert not second.take()
    first.release()


def test_its_file_is_private_and_stays(places: Places) -> None:
    lease = Lease(places)
    lease.take()
    lease.release()
    assert lease.path.stat().st_mode & 0o777 == 0o600
    assert lease.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_process_that_is_killed_holds_it_no_longer(places: Places) -> None:
    command = [sys.executable, "-c", HOLDER, str(places.home)]
    with subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lease = Lease(places)
        assert not lease.take()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lease.take()
        lease.release()
