from codemie_core.admin.models import models
from support.history_cli import keep
from support.planes import plane_of
from support.turn_rows import new_turn


async def test_models_have_their_price_by_the_million_tokens_where_one_is_known() -> None:
    keep([new_turn(1), new_turn(2), new_turn(3, model="local-model", provider=""), new_turn(4, model="")])
    async with plane_of() as room:
        told = {one.id: one for one in (await models(room.plane)).models}
    sonnet = told["claude-sonnet-4-5-20250929"]
    assert sonnet.price is not None
    assert (sonnet.requests, sonnet.provider) == (2, "anthropic")
    assert (sonnet.price.input, sonnet.price.cache_read, sonnet.price.cache_write, sonnet.price.output) == (
        *(3.0, 0.3, 3.75, 15.0),
    )
    assert sonnet.price.source.startswith("genai-prices")
    assert (told["local-model"].price, told["local-model"].provider, told[""].price) == (None, None, None)


async def test_ones_own_prices_count() -> None:
    keep([new_turn(1, model="local-model", provider="anthropic")])
    async with plane_of() as room:
        file = room.plane.places.proxy / "prices.yaml"
        file.write_text("models:\n  anthropic/local-model: {input: 1.25, output: 2}\n")
        [told] = (await models(room.plane)).models
        assert told.price is not None
        assert (told.price.input, told.price.output) == (1.25, 2)
