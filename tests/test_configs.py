"""The examples are what the program itself writes, and they load."""

from pathlib import Path

import pytest

from codemie_core.cli.declared import Declarations
from codemie_core.cli.template import template
from codemie_core.options import Layers
from codemie_core.settings import load_config_file
from support.options_doc import FILE, options_doc

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXAMPLES = sorted(CONFIGS.glob("*.example.*"))


def test_there_are_examples() -> None:
    assert CONFIGS / "codemie.example.yaml" in EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads_without_a_problem(path: Path) -> None:
    layers = Layers({}, load_config_file(path, required=True), str(path))
    assert Declarations.of_bundle().problems(layers) == []


def test_codemie_example_is_what_config_init_writes() -> None:
    """When it is not: codemie-proxy config init --force --path configs/codemie.example.yaml"""
    assert (CONFIGS / "codemie.example.yaml").read_text() == template(Declarations.of_bundle().sections)


def test_options_page_is_what_the_declarations_say() -> None:
    """When it is not: PYTHONPATH=addons:tests python -m support.options_doc"""
    assert FILE.read_text() == options_doc(Declarations.of_bundle())


def test_options_page_names_every_setting() -> None:
    page = FILE.read_text()
    for setting in Declarations.of_bundle().settings():
        for name in (setting.option, *setting.variables):
            assert f"`{name}`" in page
