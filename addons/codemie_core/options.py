"""The bridge between a pydantic `Settings` model and mitmproxy's options.

A model field `connect_timeout` of the addon `upstream_attempts` becomes the option
`codemie_upstream_attempts_connect_timeout`, the variable CODEMIE_UPSTREAM_ATTEMPTS_CONNECT_TIMEOUT and the key
`connect_timeout` in the section `upstream_attempts` of codemie.yaml. Environment, what was changed by the admin API,
file, CodeMie profile and built-in default, in this order, make the option's default; mitmproxy's own ways to set an
option stand above.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mitmproxy import exceptions, optmanager
from mitmproxy.addonmanager import Loader
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from codemie_core.durations import text_option_of
from codemie_core.errors import SettingsError
from codemie_core.profile import Profile
from codemie_core.settings import coerce_env

logger = logging.getLogger(__name__)

PREFIX = "codemie_"
STORED = "changed by the admin API"
"""The name of that source."""
_LIST = "this must be a list, like [a, b]"
_WHOLE = "this must be a whole number"
_PLAIN: Mapping[str, str] = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "string_type": "this must be text; put it in quotes",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
}
"""pydantic's kinds of errors that it tells in Python's words, by what they mean in a settings file."""


@dataclass(frozen=True, slots=True)
class FromProfile:
    """Marks a field whose default comes from this attribute of the CodeMie profile."""

    attribute: str


@dataclass(frozen=True, slots=True)
class FromEnv:
    """Marks a field that also answers to this variable, a name CodeMie's own tools use."""

    variable: str
    on: frozenset[str] = frozenset()
    """For a switch: the words that turn it on. Those tools take every other word for off, and so do we."""

    def read(self, text: str) -> str:
        """What the variable says, in our words."""
        return str(text.strip().lower() in self.on) if self.on else text


@dataclass(frozen=True)
class Layers:
    """Where defaults come from. `problems` collects one clear line for each value that cannot be used."""

    environ: Mapping[str, str]
    file: Mapping[str, Any] = field(default_factory=dict)
    file_name: str = "codemie.yaml"
    profile: Profile = field(default_factory=Profile)
    problems: list[str] = field(default_factory=list)
    stored: Mapping[str, Any] = field(default_factory=dict)
    """What was changed while a proxy ran, by the settings' keys."""
    given: set[str] = field(default_factory=set)
    """Options that `--set` or mitmproxy's config.yaml decides."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option: its names, its mitmproxy type and its place in a model."""

    section: str
    """The addon's stem; empty for the settings of the bundle itself."""
    name: str
    info: FieldInfo
    model: type[BaseModel] = field(repr=False)

    @property
    def option(self) -> str:
        """The name of the mitmproxy option."""
        return f"{PREFIX}{self.section}_{self.name}" if self.section else f"{PREFIX}{self.name}"

    @property
    def variables(self) -> list[str]:
        """The environment variables that set it, the strongest first."""
        return [self.option.upper(), *(m.variable for m in self.info.metadata if isinstance(m, FromEnv))]

    @property
    def key(self) -> str:
        """Its place in codemie.yaml."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def help(self) -> str:
        """One sentence."""
        return self.info.description or ""

    @property
    def optional(self) -> bool:
        """May it be unset?"""
        return types.NoneType in get_args(self.info.annotation)

    @property
    def choices(self) -> Sequence[str] | None:
        """The words allowed, for a Literal."""
        kind = self._kind()
        return tuple(get_args(kind)) if get_origin(kind) is Literal else None

    @property
    def typespec(self) -> Any:
        """The type as `Loader.add_option` wants it; only types that work with `--set`."""
        kind = self._kind()
        if text_option_of(self.info) or get_origin(kind) is Literal:
            plain: Any = str
        elif kind in (str, int, bool):
            plain = kind
        elif get_origin(kind) in (tuple, list, Sequence):
            return Sequence[str]
        else:
            raise TypeError(f"{self.option}: mitmproxy options cannot hold {kind!r}")
        return Union[plain, None] if self.optional else plain  # noqa: UP007 - mitmproxy compares with Optional[str]

    def resolve(self, layers: Layers) -> Resolved:
        """The value when nobody sets the option, and a line in `layers.problems` for each one that cannot be used.

        A wrong value is a problem also where a stronger source hides it: the day that source goes, nobody looks here.
        """
        found = Resolved(self, self.text(self.info.get_default(call_default_factory=True)), "default")
        for source in reversed(list(self._sources(layers))):
            try:
                environment = source.place in self.variables
                value = coerce_env(source.raw, self.typespec, source.place) if environment else source.raw
                self._check(value)
            except SettingsError as problem:
                if source.name == STORED:
                    # Another version wrote it; nobody could start the proxy that would mend it.
                    logger.warning("%s: %s; it does not count", source.place, problem)
                else:
                    layers.problems.append(f"{source.place}: {problem}")
            else:
                found = Resolved(self, self.text(value), source.name)
        return found

    def text(self, value: Any) -> Any:
        """A value as the option holds it."""
        if value is None:
            return None
        marker = text_option_of(self.info)
        if marker:
            return value if isinstance(value, str) else marker.format(self._adapter().validate_python(value))
        return list(value) if self.typespec == Sequence[str] else value

    def _kind(self) -> Any:
        annotation = self.info.annotation
        if self.optional:
            annotation = next(member for member in get_args(annotation) if member is not types.NoneType)
        return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation

    def _check(self, value: Any) -> None:
        """SettingsError when the model refuses this value, its own validators included."""
        try:
            self.model.model_validate({self.name: value})
        except ValidationError as error:
            own = [_words(found) for found in error.errors() if found["loc"][:1] == (self.name,)]
            if own:
                raise SettingsError("; ".join(own)) from None

    def _adapter(self) -> TypeAdapter[Any]:
        kind: Any = Annotated[self.info.annotation, self.info]  # made at run time, so no type checker can know it
        return TypeAdapter(kind)

    def _sources(self, layers: Layers) -> Iterator[Source]:
        """Who says something about this setting, the strongest first."""
        own = self.option.upper()
        if own in layers.environ:
            yield Source(f"environment: {own}", own, layers.environ[own])
        for mark in self.info.metadata:
            if isinstance(mark, FromEnv) and mark.variable in layers.environ:
                said = mark.read(layers.environ[mark.variable])
                yield Source(f"environment: {mark.variable}", mark.variable, said)
        if self.key in layers.stored:
            yield Source(STORED, f"{self.key}, {STORED}", layers.stored[self.key])
        section = layers.file.get(self.section, {}) if self.section else layers.file
        if isinstance(section, Mapping) and self.name in section:
            yield Source(layers.file_name, f"{layers.file_name}: {self.key}", section[self.name])
        profile = layers.profile
        for mark in self.info.metadata:
            value = getattr(profile, mark.attribute) if isinstance(mark, FromProfile) else None
            if value not in (None, ""):
                yield Source(f"CodeMie profile {profile.name}", f"CodeMie profile: {mark.attribute}", value)


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody's word on a setting: who, where exactly, and what."""

    name: str
    place: str
    raw: Any


@dataclass(frozen=True, slots=True)
class Resolved:
    """A setting's value, as its option holds it, and the name of the source that decided."""

    setting: Setting
    value: Any
    source: str


def settings_of(section: str, model: type[BaseModel]) -> list[Setting]:
    """The settings a model declares."""
    return [Setting(section, name, info, model) for name, info in model.model_fields.items()]


def declare(loader: Loader, section: str, model: type[BaseModel], layers: Layers) -> None:
    """Add the options of a model, with their resolved defaults."""
    for setting in settings_of(section, model):
        if setting.option in loader.master.options.deferred:
            layers.given.add(setting.option)
        loader.add_option(
            setting.option, setting.typespec, setting.resolve(layers).value, setting.help, setting.choices
        )


def apply_deferred(options: optmanager.OptManager, section: str, model: type[BaseModel]) -> list[str]:
    """Set what `--set` asked for before the option existed; one line for each value of the wrong type.

    mitmproxy would do it a moment later and end in a traceback of a background task on the first wrong one.
    """
    problems = []
    for setting in settings_of(section, model):
        if setting.option not in options.deferred:
            continue
        value = options.deferred.pop(setting.option)
        written = getattr(value, "val", None)
        try:
            if isinstance(written, list):
                options.set(*[f"{setting.option}={text}" for text in written] or [setting.option])
            else:
                options.update(**{setting.option: value})
        except (exceptions.OptionsError, TypeError) as problem:
            problems.append(f"{setting.option}: {problem}")
    return problems


def read[M: BaseModel](options: Any, section: str, model: type[M]) -> M:
    """The model's values from the live options. SettingsError names every option that is wrong."""
    found = settings_of(section, model)
    try:
        return model.model_validate({s.name: getattr(options, s.option) for s in found})
    except ValidationError as error:
        by_name = {s.name: s.option for s in found}
        lines = [
            f"{by_name.get(str(e['loc'][0]), section) if e['loc'] else section}: {_words(e)}" for e in error.errors()
        ]
        raise SettingsError("; ".join(lines)) from None


def _words(error: Any) -> str:
    told = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "this must be", 1)
    return _PLAIN.get(error["type"], told)
