"""What mitmdump prints on its terminal goes through the redactor."""

import io

import pytest
from mitmproxy.addons.dumper import Dumper
from mitmproxy.test import taddons, tflow, tutils

from codemie_core.seams.terminal import RedactedOutput, redact_flow_lines

PLANTED = "AIzaPlanted0123456789abcdefghijklmnopqr"


@pytest.mark.parametrize("detail", [1, 2, 3, 4])
def test_flow_lines_show_everything_but_secrets(detail: int) -> None:
    printed = io.StringIO()
    dumper = Dumper(printed)
    with taddons.context(dumper) as tctx:
        tctx.configure(dumper, flow_detail=detail)
        redact_flow_lines(tctx.master.addons)
        redact_flow_lines(tctx.master.addons)
        flow = tflow.tflow(resp=True, req=tutils.treq(path=f"/v1?alt=sse&key={PLANTED}".encode()))
        flow.request.headers["x-goog-api-key"] = PLANTED
        flow.request.host, flow.request.port = "a", 80
        dumper.response(flow)
    assert PLANTED not in printed.getvalue()
    assert "/v1?alt=sse&key=[redacted]" in printed.getvalue()
    assert "200 OK" in printed.getvalue()


def test_without_a_dumper_there_is_nothing_to_do() -> None:
    with taddons.context() as tctx:
        redact_flow_lines(tctx.master.addons)


def test_it_is_written_as_any_file_would() -> None:
    printed = io.StringIO()
    output = RedactedOutput(printed)
    assert output.write(f"key={PLANTED}") == len(f"key={PLANTED}")
    print("", file=output, flush=True)
    assert printed.getvalue() == "key=[redacted]\n"
