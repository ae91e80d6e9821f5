import re

from codemie_core.admin.pages.theme import ASSETS, head

_VARIABLE = re.compile(r"(--[a-z][\w-]*)\s*:")


def test_the_page_brings_its_sheets_along_and_asks_nobody_for_more() -> None:
    for sheet in ASSETS.glob("*.css"):
        text = sheet.read_text("utf-8")
        assert "url(" not in text
        assert "@import" not in text
        assert (text in head()) == (sheet.name != "sign_in.css")
    assert "http" not in head()


def test_no_sheet_uses_a_variable_that_nobody_sets() -> None:
    text = head()
    used = set(re.findall(r"var\((--[\w-]+)", text))
    assert not {name for name in used - set(_VARIABLE.findall(text)) if not name.startswith("--q-")}


def test_day_and_night_set_the_same_colors() -> None:
    day, night = (
        re.search(start + r" \{(.*?)\n\}", head(), re.DOTALL) for start in (":root", r':root\[data-theme="dark"\]')
    )
    assert day is not None
    assert night is not None
    shared = {"--radius", "--gap", "--nav", "--sans", "--mono"}
    assert set(_VARIABLE.findall(day[1])) - shared == set(_VARIABLE.findall(night[1]))
