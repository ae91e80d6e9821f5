import re
from pathlib import Path

from codemie_core.cli.declared import Declarations
from codemie_core.cli.template import template
from codemie_core.options import Layers
from codemie_core.settings import load_config_file


def written() -> str:
    return template(Declarations.of_bundle().sections)


def uncommented(text: str) -> str:
    """With every setting taken out of its comment, as a user would: prose has a space after the #."""
    return re.sub(r"^#(?=\S|  +\S)", "", text, flags=re.MULTILINE)


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "codemie.yaml"
    file.write_text(written())
    assert load_config_file(file, required=True) == {}


def test_every_setting_has_its_description_default_variable_and_option() -> None:
    text = " ".join(written().replace("#", "").split())
    for setting in Declarations.of_bundle().settings():
        if setting.key != "config":
            assert " ".join(setting.help.split()) in text
            assert setting.help, f"{setting.option} has no description"
            assert f"{', '.join(setting.variables)}; --set {setting.option}" in text
            assert f"{setting.name}:" in text


def test_with_every_line_uncommented_it_is_valid_and_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "codemie.yaml"
    file.write_text(uncommented(written()))
    declarations = Declarations.of_bundle()
    layers = Layers({}, load_config_file(file, required=True), str(file))
    assert declarations.problems(layers) == []
    for found in declarations.resolve(layers):
        assert found.value == found.setting.resolve(Layers({})).value
        assert found.source == ("default" if found.setting.key == "config" else str(file))


def test_lines_fit_a_screen() -> None:
    assert max(map(len, written().splitlines())) <= 120
