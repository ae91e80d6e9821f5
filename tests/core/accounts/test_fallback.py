import gzip
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.accounts.fallback import with_model

PATH = "/v1/messages?beta=true"


@pytest.mark.parametrize(
    "raw, changed",
    [
        (b'{"model":"opus","max_tokens":1}', b'{"model":"new","max_tokens":1}'),
        (b' {\r\n\t"max_tokens" : 1 , "model" :\n "opus" }\n', b' {\r\n\t"max_tokens" : 1 , "model" :\n "new" }\n'),
        ('{"system":"ü \\u00fc ☃ \\"model\\":\\"x\\"","model":"opus"}'.encode(),
         '{"system":"ü \\u00fc ☃ \\"model\\":\\"x\\"","model":"new"}'.encode()),
        (b'{"tools":[{"model":"a"}],"metadata":{"model":"b"},"model":"opus"}',
         b'{"tools":[{"model":"a"}],"metadata":{"model":"b"},"model":"new"}'),
        (b'{"a":"model","b":["model","opus"],"model":"opus"}', b'{"a":"model","b":["model","opus"],"model":"new"}'),
        (b'{"m\\u006fdel":"opus"}', b'{"m\\u006fdel":"new"}'),
        (b'{"n":1.00,"e":1E5,"big":12345678901234567890123,"model":"opus"}',
         b'{"n":1.00,"e":1E5,"big":12345678901234567890123,"model":"new"}'),
    ],
)  # fmt: skip
def test_only_the_models_value_changes(raw: bytes, changed: bytes) -> None:
    assert with_model(raw, PATH, "new") == (changed, PATH)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'"model"',
        b'[{"model":"opus"}]',
        b'{"messages":[{"model":"opus"}]}',
        b'{"model":null}',
        b'{"model":["opus"]}',
        b'{"model":"opus"',
        b'{"model":"opus"} {}',
        b'{"model":"opus","model":"haiku"}',
        b'{"model":"\xff"}',
        b'{"model":"opus","a":' + b"[" * 100_000,
        gzip.compress(b'{"model":"opus"}', mtime=0),
        b"\x28\xb5\x2f\xfd\x00\x58" + b"\x00" * 20,
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nopus\r\n--x--',
    ],
)
def test_what_cannot_be_changed_safely_is_refused(raw: bytes) -> None:
    assert with_model(raw, PATH, "new") is None


@pytest.mark.parametrize(
    "path, changed",
    [
        ("/v1beta/models/gemini-3:streamGenerateContent?alt=sse", "/v1beta/models/new:streamGenerateContent?alt=sse"),
        ("/base/v1/models/gemini-2.5-pro:generateContent", "/base/v1/models/new:generateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/g-1@001:countTokens",
         "/v1/projects/p/locations/l/publishers/google/models/new:countTokens"),
    ],
)  # fmt: skip
def test_geminis_model_is_in_the_path(path: str, changed: str) -> None:
    raw = b'{"model":"models/gemini-2.5-pro"}'
    assert with_model(raw, path, "new") == (raw, changed)


def test_a_path_in_a_query_is_none() -> None:
    path = "/v1/messages?from=/models/a:b"
    assert with_model(b'{"model":"opus"}', path, "new") == (b'{"model":"new"}', path)


@pytest.mark.parametrize("model", ['quo"te', "back\\slash", "new\nline", "ü", "a/b?c:d#e", "\\1\\g<0>"])
def test_no_name_of_a_model_breaks_out(model: str) -> None:
    changed = with_model(b'{"model":"opus"}', PATH, model)
    assert changed is not None
    assert json.loads(changed[0]) == {"model": model}
    gemini = with_model(b"", "/v1beta/models/old:generateContent?alt=sse", model)
    assert gemini is not None
    assert gemini[1].count("/") == 3
    assert gemini[1].endswith(":generateContent?alt=sse")
    assert gemini[1].isascii()
    assert gemini[1].isprintable()


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=5), st.text(min_size=1, max_size=9))
def test_whatever_stands_around_it_stays(around: dict[str, str], model: str) -> None:
    around.pop("model", None)
    raw = json.dumps({**around, "model": "opus", "last": [1, {"model": "opus"}]}, indent=1, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    changed = with_model(raw, PATH, model)
    if changed is None:
        assert any("\ud800" <= letter <= "\udfff" for text in (*around, *around.values()) for letter in text)
        return
    assert changed[0] == raw.replace(b'"model": "opus",', b'"model": ' + json.dumps(model).encode() + b",", 1)


@given(st.binary(max_size=200))
def test_no_body_raises(raw: bytes) -> None:
    with_model(raw, PATH, "new")


def test_a_megabyte_of_prompt_is_no_burden() -> None:
    raw = json.dumps({"messages": [{"role": "user", "content": "x" * 5_000_000}], "model": "opus"}).encode()
    begun = time.thread_time()
    assert with_model(raw, PATH, "new") is not None
    # It takes a fiftieth; a second look for each part of it would take minutes.
    assert time.thread_time() - begun < 1.0
