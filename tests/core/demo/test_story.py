import io

import pytest
from rich.console import Console

from codemie_core.demo import proxy_process, stage
from codemie_core.demo.scenes import SCENES, Scene
from codemie_core.demo.stage import SceneFailed, Stage
from codemie_core.demo.story import tell
from support.no_proxy import NoProxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes of a test's own need no proxy."""
    monkeypatch.setattr(stage, "ProxyProcess", lambda home, target: NoProxy(target))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def goes_well(stage: Stage) -> None:
    stage.say("as promised")


async def breaks_its_promise(stage: Stage) -> None:
    raise SceneFailed("it did not happen that [something]")


async def raises(stage: Stage) -> None:
    raise ConnectionError("what a client library says")


def test_there_are_the_seven_scenes() -> None:
    assert [scene.title for scene in SCENES] == [
        "A streamed answer",
        "An overloaded upstream",
        "An upstream that is down",
        "A stream cut in the middle",
        "A failing addon",
        "A limited account",
        "What it cost",
    ]


def test_failed_scenes_are_named_and_all_others_still_play(console: Console, quick: None) -> None:
    scenes = (
        Scene("First", "", breaks_its_promise),
        Scene("Second", "", raises),
        Scene("Third", "", goes_well),
    )
    assert tell(console, scenes) == 1
    shown = text(console)
    assert "failed: it did not happen that [something]" in shown
    assert "failed: ConnectionError: what a client library says" in shown
    assert "as promised" in shown
    assert "Failed: First, Second." in shown
    assert "Next" not in shown


def test_a_story_that_goes_well_says_what_to_look_at_next(console: Console, quick: None) -> None:
    assert tell(console, (Scene("Only", "", goes_well),)) == 0
    shown = text(console)
    assert "All 1 scenes went as promised" in shown
    assert "codemie-proxy start" in shown


def test_a_proxy_that_does_not_start_is_a_failure_with_its_log(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_process, "_MITMDUMP", "print('what went [wrong]'); raise SystemExit(3)")
    assert tell(console, ()) == 1
    assert "what went [wrong]" in text(console)
