"""The real SDKs read the scripted upstream's answers."""

from typing import Any

import httpx
import pytest
from anthropic import APIStatusError, AsyncAnthropic
from anthropic import InternalServerError as AnthropicServerError
from anthropic.types import Message, MessageTokensCount, ModelInfo
from openai import APIError, AsyncOpenAI, RateLimitError
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from codemie_core.demo.frames import COMMENT, PING, TEXT
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream

HELLO: Any = [{"role": "user", "content": "hello"}]


# The SDKs' answers are unions of dozens of types; what came is asserted, not narrowed.
def anthropic(upstream: Upstream) -> Any:
    return AsyncAnthropic(base_url=upstream.url, api_key="planted-fake-key", max_retries=0)


def openai(upstream: Upstream) -> Any:
    return AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="planted-fake-key", max_retries=0)


async def test_the_anthropic_sdk_reads_a_message_a_count_and_the_models(upstream: Upstream) -> None:
    async with anthropic(upstream) as client:
        message = await client.messages.create(model="claude-x", max_tokens=9, messages=HELLO)
        count = await client.messages.count_tokens(model="claude-x", messages=HELLO)
        models = [model async for model in await client.models.list()]
    Message.model_validate(message.to_dict())
    assert message.model == "claude-x"
    assert message.content[0].text == TEXT
    assert MessageTokensCount.model_validate(count.to_dict()).input_tokens > 0
    assert ModelInfo.model_validate(models[0].to_dict()).id == "demo-model"


async def test_the_anthropic_sdk_reads_a_stream_with_its_usage(upstream: Upstream) -> None:
    async with (
        anthropic(upstream) as client,
        client.messages.stream(model="claude-x", max_tokens=9, messages=HELLO) as stream,
    ):
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert message.content[0].text == TEXT
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == len(TEXT.split(" "))


async def test_the_openai_sdk_reads_chat_completions(upstream: Upstream) -> None:
    async with openai(upstream) as client:
        whole = await client.chat.completions.create(model="gpt-x", messages=HELLO)
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="gpt-x", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        ]
        models = [model.id async for model in client.models.list()]
    ChatCompletion.model_validate(whole.to_dict())
    assert whole.choices[0].message.content == TEXT
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.completion_tokens == len(TEXT.split(" "))
    assert models == ["demo-model"]


async def test_the_openai_sdk_reads_responses(upstream: Upstream) -> None:
    async with openai(upstream) as client:
        whole = await client.responses.create(model="gpt-x", input="hello")
        events = [event async for event in await client.responses.create(model="gpt-x", input="h", stream=True)]
        async with client.responses.stream(model="gpt-x", input="hello") as stream:
            final = await stream.get_final_response()
    Response.model_validate(whole.to_dict())
    assert whole.output_text == final.output_text == TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert Response.model_validate(events[-1].response.to_dict()).status == "completed"


async def test_gemini_answers_whole_and_as_a_stream(upstream: Upstream) -> None:
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        whole = await client.post("/v1beta/models/gemini-x:generateContent", json={"contents": []})
        stream = await client.post("/v1beta/models/gemini-x:streamGenerateContent?alt=sse", json={})
    assert whole.json()["modelVersion"] == "gemini-x"
    assert whole.json()["candidates"][0]["content"]["parts"] == [{"text": TEXT}]
    frames = stream.text.strip().split("\n\n")
    assert len(frames) == len(TEXT.split(" "))
    assert '"finishReason":"STOP"' in frames[-1]
    assert '"finishReason"' not in frames[0]


@pytest.mark.parametrize(
    ("path", "proof"),
    [
        ("/v1/messages", ("type", "error")),
        ("/v1/chat/completions", ("error.type", "server_error")),
        ("/v1/responses", ("error.type", "server_error")),
        ("/v1beta/models/m:generateContent", ("error.status", "UNAVAILABLE")),
    ],
)
async def test_an_error_status_is_json_in_the_shape_of_the_api(
    upstream: Upstream, path: str, proof: tuple[str, str]
) -> None:
    upstream.script(Step(status=503, headers=[("retry-after", "7")]))
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        response = await client.post(path, json={})
    value = response.json()
    for key in proof[0].split("."):
        value = value[key]
    assert (response.status_code, response.headers["retry-after"], value) == (503, "7", proof[1])


async def test_the_sdks_raise_the_error_of_the_status(upstream: Upstream) -> None:
    upstream.script(Step(status=529), Step(status=429))
    async with anthropic(upstream) as client:
        with pytest.raises(AnthropicServerError, match="Overloaded"):
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)
    async with openai(upstream) as client:
        with pytest.raises(RateLimitError):
            await client.chat.completions.create(model="m", messages=HELLO)


async def test_the_sdks_recognize_an_error_event_that_opens_a_stream(upstream: Upstream) -> None:
    upstream.script(then=Step(opening=[PING, COMMENT], error_event=True))
    async with anthropic(upstream) as client:
        with pytest.raises(APIStatusError, match="overloaded_error"):
            async with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
                [event async for event in stream]
    upstream.script(then=Step(error_event=True))
    async with openai(upstream) as client:
        with pytest.raises(APIError, match="unavailable"):
            [c async for c in await client.chat.completions.create(model="m", messages=HELLO, stream=True)]


async def test_head_of_the_root_is_answered_and_the_unknown_is_a_404(upstream: Upstream) -> None:
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        assert (await client.head("/")).status_code == 200
        unknown = await client.get("/v1/unknown", headers={"anthropic-version": "2023-06-01"})
    assert unknown.status_code == 404
    assert unknown.json()["error"]["type"] == "not_found_error"


async def test_a_prefix_is_cut_off_and_demanded() -> None:
    async with Upstream(prefix="/code-assistant-api") as upstream, httpx.AsyncClient() as client:
        inside = await client.post(f"{upstream.url}/v1/messages?beta=true", json={})
        outside = await client.post(f"http://127.0.0.1:{upstream.port}/v1/messages", json={})
    assert (inside.status_code, outside.status_code) == (200, 404)
    assert upstream.requests[0].path == "/v1/messages"
    assert upstream.requests[0].target == "/code-assistant-api/v1/messages?beta=true"


async def test_the_fault_header_names_a_fault() -> None:
    async with Upstream(fault_header=True) as upstream, httpx.AsyncClient(base_url=upstream.url) as client:
        html = await client.post("/v1/messages", json={}, headers={"x-demo-fault": "html"})
        unknown = await client.post("/v1/messages", json={}, headers={"x-demo-fault": "nope"})
    assert (html.status_code, html.headers["content-type"]) == (502, "text/html")
    assert unknown.status_code == 400
    assert "there are: ok, overload" in unknown.text
