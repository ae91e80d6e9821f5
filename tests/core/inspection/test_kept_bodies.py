"""Finished flows are held up to a bound, the oldest go first; what is marked, or gone, does not count."""

import gc

from mitmproxy import http
from mitmproxy.test import tflow, tutils

from codemie_core.inspection.kept_bodies import KeptBodies, empty, size_of


def finished(size: int) -> http.HTTPFlow:
    return tflow.tflow(req=tutils.treq(content=b"x" * size), resp=tutils.tresp(content=b"y" * size))


def shelf() -> tuple[KeptBodies, list[http.HTTPFlow]]:
    gone: list[http.HTTPFlow] = []
    return KeptBodies(gone.append), gone


def test_the_oldest_go_first_and_no_more_than_must() -> None:
    kept, gone = shelf()
    flows = [finished(10) for _ in range(6)]
    for flow in flows:
        kept.add(flow, 65)
    assert gone == flows[:3]
    assert kept.total == 60
    assert [size_of(flow) for flow in flows] == [0, 0, 0, 20, 20, 20]


def test_a_marked_flow_and_the_newest_keep_their_bodies() -> None:
    kept, gone = shelf()
    marked, plain, newest = finished(10), finished(10), finished(500)
    marked.marked = ":star:"
    for flow in (marked, plain, newest):
        kept.add(flow, 30)
    assert gone == [plain]
    assert (size_of(marked), size_of(newest)) == (20, 1000)


def test_without_a_bound_nothing_goes() -> None:
    kept, gone = shelf()
    flows = [finished(1000) for _ in range(3)]
    for flow in flows:
        kept.add(flow, 0)
    assert (gone, kept.total) == ([], 6000)


def test_a_flow_counts_once() -> None:
    kept, _ = shelf()
    flow = finished(10)
    kept.add(flow, 0)
    kept.add(flow, 0)
    assert kept.total == 20


def test_what_is_gone_does_not_count() -> None:
    kept, _ = shelf()
    flows = [finished(10) for _ in range(3)]
    for flow in flows:
        kept.add(flow, 0)
    del flow, flows[:]
    gc.collect()
    assert kept.total == 0


def test_messages_of_a_websocket_count_and_go() -> None:
    flow = tflow.twebsocketflow()
    assert flow.websocket is not None
    size = sum(len(message.content) for message in flow.websocket.messages)
    assert size
    assert size_of(flow) >= size
    empty(flow)
    assert size_of(flow) == 0


def test_a_flow_without_an_answer_can_be_emptied() -> None:
    flow = tflow.tflow(err=True)
    assert size_of(flow) == len(flow.request.raw_content or b"")
    empty(flow)
    assert flow.request.raw_content is None
