import os

import pytest

from codemie_core.launch.lifeline import KEEP, wait_for_end


@pytest.mark.parametrize("said, ends", [(b"", 1), (KEEP, 0), (b"x", 1)])
def test_it_ends_with_its_starter_unless_it_is_told_to_go_on(said: bytes, ends: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, said)
    os.close(writing)
    ended: list[int] = []
    wait_for_end(reading, lambda: ended.append(1))
    assert len(ended) == ends
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(reading)
