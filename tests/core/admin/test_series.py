from codemie_core.admin.series import point, summed_up
from codemie_core.store.breakdown import Slice
from codemie_core.store.figures import Figures


def one(requests: int, model: str | None = None, **more: int) -> Slice:
    return Slice(Figures(requests=requests, input_tokens=10 * requests, output_tokens=requests, **more), 250.0)


def test_a_bucket_without_turns_is_all_zero() -> None:
    told = point(5, Slice())
    assert told.model_dump(exclude={"ts", "model", "avg_tokens_per_second"}, by_alias=False) == dict.fromkeys(
        (
            *("requests", "tokens", "cost_usd", "success_rate", "error_rate", "cache_hit_rate"),
            "avg_response_time",
        ),
        0,
    )


def test_rates_are_percentages() -> None:
    told = point(5, Slice(Figures(requests=4, errors=1, cache_hit_rate=0.5), 250.0), "opus")
    assert (told.success_rate, told.error_rate, told.cache_hit_rate, told.model) == (75, 25, 50, "opus")


def test_summed_up_each_model_counts_by_itself_and_rates_stay() -> None:
    points = [point(1, one(1), "a"), point(1, one(5), "b"), point(2, one(2, errors=1), "a")]
    told = summed_up(points)
    assert [(each.ts, each.model, each.requests, each.tokens) for each in told] == [
        (1, "a", 1, 11),
        (1, "b", 5, 55),
        (2, "a", 3, 33),
    ]
    assert told[2].success_rate == 50
