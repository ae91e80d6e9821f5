from codemie_core.admin.pages.icons import PATHS, icon
from codemie_core.admin.pages.layout import TABS


def test_drawings_are_silent_and_take_the_color_of_the_text() -> None:
    for name in PATHS:
        assert 'aria-hidden="true"' in icon(name)
        assert "currentColor" in icon(name)


def test_every_tab_has_a_drawing() -> None:
    assert {tab.key for tab in TABS} <= PATHS.keys()
