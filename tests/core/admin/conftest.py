from pathlib import Path

import pytest

from codemie_core.places import Places


@pytest.fixture
def places(codemie_home: Path) -> Places:
    """Of the test's own home."""
    return Places(codemie_home)
