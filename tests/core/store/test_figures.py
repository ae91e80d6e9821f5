from codemie_core.store.figures import Figures, measures


def test_rates_of_nothing_are_unknown() -> None:
    assert Figures().error_rate is None
    assert Figures(requests=4, errors=1).error_rate == 0.25


def test_a_prompt_is_all_that_was_read() -> None:
    assert Figures(input_tokens=1, cache_read_tokens=20, cache_write_tokens=300).prompt_tokens == 321
    assert Figures(input_tokens=1).prompt_tokens == 1
    assert Figures(cache_read_tokens=20).prompt_tokens is None


def test_all_that_is_selected_has_a_name() -> None:
    names = [column.name for column in measures()]
    assert len(set(names)) == len(names)
    assert "cost_nano_usd" in names
