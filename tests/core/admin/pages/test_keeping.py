from codemie_core.admin.pages.keeping import days


def test_days_are_told_as_people_say_them() -> None:
    assert [days(number) for number in (0, 0.5, 1, 90)] == ["ever", "0.5 days", "1 day", "90 days"]
