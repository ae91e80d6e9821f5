from collections.abc import Sequence

import pytest
from mitmproxy import exceptions
from mitmproxy.test import taddons

from codemie_core import live_settings
from codemie_core.errors import SettingsError


class Choosy:
    """Refuses three."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def load(self, loader) -> None:  # type: ignore[no-untyped-def] # mitmproxy's own
        loader.add_option("number", int, 1, "")
        loader.add_option("text", str, "a", "")
        loader.add_option("words", Sequence[str], ["a"], "")

    def configure(self, updated: set[str]) -> None:
        from mitmproxy import ctx

        if ctx.options.number == 3:
            raise exceptions.OptionsError("not three")
        self.heard.append(ctx.options.number)


def test_values_are_those_in_force_and_lists_are_lists() -> None:
    with taddons.context(Choosy()):
        assert [live_settings.value_of(name) for name in ("number", "text", "words")] == [1, "a", ["a"]]
        assert live_settings.value_of("no_such_option_of_ours") is None


def test_a_change_reaches_the_addons() -> None:
    with taddons.context(choosy := Choosy()):
        live_settings.change({"number": 2, "words": ["b"]})
        assert (live_settings.value_of("number"), live_settings.value_of("words")) == (2, ["b"])
        assert choosy.heard[-1] == 2


@pytest.mark.parametrize("changes", [{"text": "b", "number": 3}, {"text": "b", "number": "x"}], ids=["addon", "type"])
def test_of_a_refused_change_nothing_remains(changes: dict[str, object]) -> None:
    with taddons.context(choosy := Choosy()):
        with pytest.raises(SettingsError):
            live_settings.change(changes)
        assert [live_settings.value_of(name) for name in ("number", "text")] == [1, "a"]
        assert choosy.heard[-1] == 1
