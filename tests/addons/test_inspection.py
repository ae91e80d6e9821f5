"""The inspection addon, in process: at work only where somebody can look, comments, facts, bounds, switching."""

import gc
import logging
import subprocess
import sys
import weakref
from typing import Any

import pytest
from mitmproxy import contentviews, exceptions
from mitmproxy.proxy.mode_specs import ProxyMode

from codemie_core.exchange import Terminal, exchange_of
from codemie_core.inspection.content_view import NAME
from codemie_core.seams import dispatch
from codemie_core.seams.kept_body import BOUND
from codemie_core.usage.cost import Cost
from codemie_core.usage.usage import Usage
from inspection import AT_WORK
from support.looked_at import Watched, looking, talked
from support.proxy import ADDONS
from support.records import new_record
from support.talks import TALKS, anthropic

TALK = anthropic()


def record(flow: Any, **changes: Any) -> Any:
    more = {"usage": Usage(input=12, cache_read=1500, output=40), "cost": Cost(4_000_000), "stop_reason": "tool_use"}
    return new_record(**{"id": exchange_of(flow).request_id, "model_served": "opus", **more, **changes})


async def one(watched: Watched, **changes: Any) -> Any:
    """A flow that has ended and is metered."""
    flow = await watched.answered(await watched.asked(talked(TALK)))
    await watched.counted(record(flow, **changes))
    return flow


async def test_where_nobody_can_look_it_has_no_hooks() -> None:
    async with looking(listed=False) as watched:
        for hook in AT_WORK:
            assert getattr(watched.addon, hook) is None
        assert not dispatch.has_listeners(watched.tctx.master.addons, "usage_recorded")
        assert watched.addon.health() == {}
        flow = await watched.answered(await watched.asked(talked(TALK)))
        assert flow.comment == ""


def test_where_nobody_can_look_nothing_is_imported() -> None:
    script = (
        "import sys; import inspection; "
        "print([m for m in sys.modules if m.startswith('codemie_core.inspection.') or 'genai' in m])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ADDONS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['codemie_core.inspection.commands']"


async def test_a_flow_gets_its_comment_when_it_ends_and_again_when_it_is_counted() -> None:
    async with looking() as watched:
        flow = await watched.asked(talked(TALK))
        assert flow.comment == ""
        await watched.answered(flow)
        first = flow.comment
        assert first.startswith("claude session ")
        await watched.counted(record(flow))
        assert flow.comment == f"{first} | opus | 1,512 read, 40 written | $0.0040 | tool_use"
        assert watched.told[-2:] == [first, flow.comment]


async def test_a_comment_of_ones_own_stays() -> None:
    async with looking() as watched:
        flow = await watched.answered(await watched.asked(talked(TALK)))
        flow.comment = "look at this"
        await watched.counted(record(flow))
        assert flow.comment == "look at this"
        assert flow.metadata["codemie.model"] == "opus"


async def test_comments_can_be_left_off_while_it_runs() -> None:
    async with looking(codemie_inspection_comments=False) as watched:
        flow = await one(watched)
        assert flow.comment == ""
        assert flow.metadata["codemie.nano_usd"] == 4_000_000
        watched.options.update(codemie_inspection_comments=True)
        assert (await one(watched)).comment


async def test_turns_of_a_websocket_are_added_to_their_flow() -> None:
    async with looking() as watched:
        flow = await watched.answered(await watched.asked(talked(TALK)))
        for number in (1, 2):
            await watched.counted(record(flow, id=f"{exchange_of(flow).request_id}.{number}"))
        assert "2 turns | opus | 3,024 read, 80 written | $0.0080" in flow.comment


async def test_turns_of_others_are_left_alone() -> None:
    async with looking() as watched:
        flow = await watched.answered(await watched.asked(talked(TALK)))
        before = flow.comment
        await watched.counted(new_record())
        assert flow.comment == before


async def test_what_passes_untouched_is_not_commented() -> None:
    async with looking() as watched:
        flow = talked(TALK)
        flow.client_conn.proxy_mode = ProxyMode.parse("regular")
        await watched.answered(await watched.asked(flow))
        assert flow.comment == ""
        assert watched.addon.health() == {"kept_bytes": len(flow.request.raw_content or b"") + _answer(flow)}


def _answer(flow: Any) -> int:
    return len(flow.response.raw_content)


async def test_a_request_that_is_sent_again_has_no_facts_of_its_former_self() -> None:
    async with looking() as watched:
        flow = await one(watched)
        again = flow.copy()
        await watched.asked(again)
        assert "codemie.turns" not in again.metadata
        assert again.metadata["codemie.request_id"] != flow.metadata["codemie.request_id"]
        await watched.answered(again)
        await watched.counted(record(again))
        assert again.metadata["codemie.turns"] == 1


async def test_beyond_the_bound_the_oldest_flows_lose_their_bodies_and_keep_their_rows() -> None:
    size = len(talked(TALK).request.raw_content or b"") + _answer(talked(TALK))
    async with looking(codemie_inspection_keep=str(3 * size)) as watched:
        flows = [await one(watched) for _ in range(5)]
        assert [flow.response.raw_content is None for flow in flows] == [True, True, False, False, False]
        assert [flow.request.raw_content is None for flow in flows] == [True, True, False, False, False]
        assert len(watched.view) == 5
        assert flows[0].comment.endswith("tool_use | bodies let go to save memory")
        assert watched.page(flows[0]).text == "Content is missing."
        assert watched.addon.health() == {"kept_bytes": 3 * size}
        watched.options.update(codemie_inspection_keep="0")
        for _ in range(3):
            await one(watched)
        assert watched.addon.health() == {"kept_bytes": 6 * size}


async def test_a_flow_that_is_removed_from_the_list_is_freed() -> None:
    async with looking() as watched:
        flow = await one(watched)
        gone = weakref.ref(flow)
        watched.view.clear()
        del flow
        gc.collect()
        assert gone() is None
        assert watched.addon.health() == {"kept_bytes": 0}


async def test_how_much_of_each_body_is_kept_is_told_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BOUND, "most", 0)
    async with looking(codemie_inspection_keep_body="2k") as watched:
        assert BOUND.most == 2048
        with pytest.raises(exceptions.OptionsError):
            watched.options.update(codemie_inspection_keep_body="5")
        assert BOUND.most == 2048


async def test_a_body_that_is_not_whole_says_how_much_of_it_is_there() -> None:
    async with looking() as watched:
        flow = await watched.asked(talked(TALK))
        exchange = exchange_of(flow)
        exchange.response_bytes = 10**6
        exchange.end(Terminal.TRUNCATED)
        await watched.fire("error", flow)
        assert f"kept          the first {_answer(flow):,} of 1,000,000 bytes" in watched.page(flow).text


async def test_switched_off_flows_are_shown_as_mitmproxy_shows_them() -> None:
    async with looking() as watched:
        flow = await one(watched)
        assert watched.page(flow).view_name == NAME
        watched.options.update(codemie_disabled=["inspection"])
        assert watched.page(flow).view_name != NAME
        assert (await one(watched)).comment == ""
        watched.options.update(codemie_disabled=[])
        assert watched.page(flow).view_name == NAME
        assert (await one(watched)).comment


@pytest.mark.parametrize("talk", TALKS, ids=[talk.api for talk in TALKS])
async def test_every_api_has_its_content_view(talk: Any) -> None:
    async with looking() as watched:
        flow = await watched.answered(await watched.asked(talked(talk)))
        shown = watched.page(flow)
        assert (shown.view_name, shown.syntax_highlight) == (NAME, "none")
        assert talk.tokens in shown.text
        assert watched.page(flow, flow.request).view_name == NAME


async def test_the_view_is_among_those_that_mitmweb_offers() -> None:
    async with looking():
        assert NAME.lower() in contentviews.registry.available_views()


@pytest.mark.parametrize("kept", [True, False])
async def test_where_streams_are_not_kept_the_log_says_how_to(kept: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with looking(store_streamed_bodies=kept):
        assert ("store_streamed_bodies=true keeps them" in caplog.text) is not kept


@pytest.mark.parametrize("chosen, shown", [({}, ["path", "size", "comment"]), ({"web_columns": ["path"]}, ["path"])])
async def test_the_comment_has_a_column_unless_somebody_has_chosen_them(
    chosen: dict[str, Any], shown: list[str]
) -> None:
    async with looking(**chosen) as watched:
        assert watched.options.web_columns == shown
