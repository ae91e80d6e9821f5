"""The version and source check in front of the seams."""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from mitmproxy import version

from codemie_core.errors import UnsupportedMitmproxy
from codemie_core.seams import dispatch
from codemie_core.seams.shape import MITMPROXY, Shape, fingerprint, require, version_supported

ORIGINAL = '''
def area(width, height=2, *, unit="m"):
    """The area."""
    if width < 0:
        raise ValueError(f"negative {width!r}")
    return width * height, unit
'''
SAME_CODE = '''
def area( width, height = 2, *,
          unit = 'm' ):
    """Another docstring,
    over two lines."""
    # A comment.
    if width < 0:
        raise ValueError(f"negative {width!r}")

    return (width * height, unit)
'''

Write = Callable[[str], ModuleType]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Import source text as a module of its own."""

    def _write(source: str) -> ModuleType:
        path = tmp_path / f"sample_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return _write


@pytest.mark.parametrize(
    "found,supported",
    [
        ("12.2.0", True),
        ("12.2.3", True),
        ("12.3.1", True),
        ("12.10.0", True),
        ("12.2", True),
        ("12.1.9", False),
        ("12", False),
        ("11.1.3", False),
        ("13.0.0", False),
        ("13.0.0.dev", False),
        ("unknown", False),
    ],
)
def test_supported_versions_are_those_of_the_stated_range(found: str, supported: bool) -> None:
    assert version_supported(found) is supported


def test_the_installed_mitmproxy_is_supported() -> None:
    assert version_supported()


def test_layout_comments_and_docstrings_do_not_change_a_fingerprint(write: Write) -> None:
    assert fingerprint(write(ORIGINAL).area) == fingerprint(write(SAME_CODE).area)


@pytest.mark.parametrize(
    "before,after",
    [
        ("width < 0", "width <= 0"),
        ("height=2", "height=3"),
        ("*, unit", "unit"),
        ("negative", "below zero"),
        ("width * height, unit", "width * height"),
        ("def area", "async def area"),
    ],
)
def test_any_change_of_code_changes_the_fingerprint(write: Write, before: str, after: str) -> None:
    assert fingerprint(write(ORIGINAL).area) != fingerprint(write(ORIGINAL.replace(before, after)).area)


def test_a_fingerprint_looks_through_decorators(write: Write) -> None:
    area = write(ORIGINAL).area

    @functools.wraps(area)
    def wrapped(*args: object) -> object:
        return area(*args)

    assert fingerprint(wrapped) == fingerprint(area)


def test_a_fingerprint_is_the_same_under_every_python() -> None:
    # The value was computed on 3.12 and 3.13; the release's own test is that SHAPE matches on both.
    assert dispatch.SHAPE.mismatch() is None


@pytest.mark.parametrize(
    "function",
    [
        pytest.param("mitmproxy.addonmanager:AddonManager.no_such_method", id="missing method"),
        pytest.param("mitmproxy.no_such_module:function", id="missing module"),
        pytest.param("builtins:len", id="no source"),
        pytest.param("mitmproxy.addonmanager:traverse", id="other code"),
    ],
)
def test_anything_but_the_tested_code_is_a_mismatch(function: str) -> None:
    shape = Shape(name="hook dispatch", functions=(function,), fingerprints=frozenset({"0123456789abcdef"}))
    problem = shape.mismatch()
    assert problem is not None
    assert f"mitmproxy {version.VERSION} found" in problem
    assert "hook dispatch" in problem


def test_a_refusal_names_the_version_found_the_one_wanted_and_the_fix() -> None:
    with pytest.raises(UnsupportedMitmproxy) as refused:
        require(dispatch.SHAPE, found="13.1.0")
    message = str(refused.value)
    assert "13.1.0" in message
    assert f"pip install 'mitmproxy{MITMPROXY}'" in message
    assert "\n" not in message


def test_a_tested_mitmproxy_is_not_refused() -> None:
    require(dispatch.SHAPE)
