from pathlib import Path

import pytest

from codemie_core.access.key_use import DEFAULT_ADDRESS, address_for_clients, environment
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry


def test_a_holder_sets_the_key_for_each_kind_of_agent_or_the_proxy_alone() -> None:
    assert environment("ann b", "cmk_planted", "127.0.0.1:8080") == {
        "ANTHROPIC_AUTH_TOKEN": "cmk_planted",
        "OPENAI_API_KEY": "cmk_planted",
        "HTTPS_PROXY": "http://ann%20b:cmk_planted@127.0.0.1:8080",
    }


@pytest.mark.parametrize("address, told", [("127.0.0.1:9090", "127.0.0.1:9090"), ("::1:9090", "[::1]:9090")])
def test_the_address_is_that_of_a_running_proxy(codemie_home: Path, address: str, told: str) -> None:
    places = Places(codemie_home)
    assert address_for_clients(places) == DEFAULT_ADDRESS
    pid, started = this_process()
    write_entry(places, RunningProxy("run", pid, started, 0.0, (address,), ("regular",), "1"))
    assert address_for_clients(places) == told
