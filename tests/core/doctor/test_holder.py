import os
import socket
import sys
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.doctor.holder import holder_of


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in /proc")
def test_who_listens_on_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert holder_of(taken.getsockname()[1]).endswith(f", pid {os.getpid()})")


def test_where_nobody_listens_or_nobody_can_say_there_is_no_name(tmp_path: Path) -> None:
    assert holder_of(closed_port()) == ""
    assert holder_of(8080, proc=tmp_path) == ""
