from mitmproxy.test import taddons, tflow

from codemie_core.core_addon import CoreAddon
from codemie_core.demo.failing.failing_addon import FailingAddon


def test_it_fails_in_the_request_and_in_the_response_and_harms_nobody() -> None:
    addon = FailingAddon()
    with taddons.context() as context:
        context.master.addons.add(addon)
        assert context.master.addons.get(CoreAddon.name)
        flow = tflow.tflow(resp=True)
        assert flow.response is not None
        before = flow.request.get_state(), flow.response.get_state()
        addon.request(flow)
        addon.responseheaders(flow)
        assert addon.status.mishaps == {"request": 1, "responseheaders": 1}
        assert addon.status.state == "degraded"
        assert (flow.request.get_state(), flow.response.get_state()) == before
