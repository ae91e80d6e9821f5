from codemie_core.admin.pages.layout import TABS, navigation
from codemie_core.admin.pages.site import views


def test_the_navigation_has_every_tab_and_says_where_one_is() -> None:
    shown = navigation("requests")
    assert shown.count("aria-current") == 1
    assert '<a href="/requests" aria-current="page">' in shown
    for tab in TABS:
        assert f'href="{tab.path}"' in shown
        assert tab.label in shown
    assert shown.index("#main") < shown.index("<nav")


def test_every_tab_is_a_page_and_no_two_pages_share_an_address() -> None:
    paths = [view.path for view in views()]
    assert len(paths) == len(set(paths))
    assert {tab.path for tab in TABS} <= set(paths)
    assert {view.tab for view in views()} == {tab.key for tab in TABS}
