"""The study file: what a retrospective study is, written down before its results."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ... import models
from ...forecasting.risk import Event
from ...modeling.model import AbstractModel, nearest
from ...patient.units import minutes
from ...storage import bundled

FORECASTERS = (
    "prior", "persistence", "linear trend", "other patients", "smoothed", "linear on smoothed", "regression",
)  # fmt: skip
FIGURES = (
    "coverage", "interval_score", "crps", "log_score", "mean_absolute_error", "median_absolute_percentage_error",
    "lowest_coverage",
)  # fmt: skip


def _span(text: str) -> str:
    minutes(text)
    return text


Span = Annotated[str, AfterValidator(_span)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w][\w .-]*$")]
Levels = Annotated[tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], Field(min_length=1)]


class _Part(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)


class Source(_Part):
    """Where the stays come from and what reads them."""

    reader: Literal["mimic", "eicu", "tidy"]
    """mimic reads the tables of MIMIC-III and MIMIC-IV, eicu those of eICU, tidy a folder with one CSV a patient."""
    domains: tuple[Literal["glucose", "lungs", "circulation"], ...] = ("glucose", "lungs", "circulation")
    """What is read; a tidy file is read whole."""


class Inclusion(_Part):
    """Which stays, and which part of each."""

    keep: tuple[str, ...] = Field(min_length=1)
    """The measurements that the study uses; others are left out."""
    fewest: Annotated[int, Field(ge=1)] = 2
    """Measurements of the first of `keep` that a stay must have in its window."""
    infusion: str | None = None
    """The window begins at the first infusion of this input, and ends with its last; by default all of the stay."""
    given: tuple[str, ...] = ()
    """Inputs that a stay must have."""
    known: tuple[str, ...] = ()
    """Settings that must be known at a measurement of the first of `keep` for it to count; they are then taken to hold
    until the next row. The window begins at the first such measurement."""
    lead: Span = "0 h"
    """How long before its beginning the window still shows what was measured."""
    longest: Span | None = None
    """The window is cut after so long."""


class Model(_Part):
    """The model, by its name in twinprob, and its variant."""

    name: str
    variant: str | None = None
    """A class method of the model, such as charted."""

    @model_validator(mode="after")
    def _there(self) -> "Model":
        known = {name: cls for name, cls in models.by_name().items() if issubclass(cls, AbstractModel)}
        if self.name not in known:
            raise ValueError(f"there is no model {self.name!r}; {nearest(self.name, known)}")
        if self.variant is not None and self.variant not in (found := _variants(known[self.name])):
            raise ValueError(f"model {self.name} has no variant {self.variant!r}; {nearest(self.variant, found)}")
        return self

    def build(self) -> AbstractModel:
        """Return the model."""
        cls: Any = models.by_name()[self.name]
        return cls() if self.variant is None else getattr(cls, self.variant)()


class Given(_Part):
    """A population that was learned before, on others."""

    kind: Literal["given"]
    name: str
    """A file, or the name of a population that ships."""
    others: str = ""
    """Why none of its patients is one of the study's: asked where the population does not say whom it learned on."""


class LeftOut(_Part):
    """A population learned for each patient on all other patients of the study."""

    kind: Literal["leave-one-patient-out"]
    before: Span = "2 h"
    after: Span = "10 h"
    """What is learned from: this long before and after the window's beginning."""
    rounds: Annotated[int, Field(ge=1, le=50)] = 3


class Elsewhere(_Part):
    """A population learned on another source, under the same rules of inclusion."""

    kind: Literal["other-source"]
    folder: str
    source: Source
    before: Span = "2 h"
    after: Span = "10 h"
    rounds: Annotated[int, Field(ge=1, le=50)] = 3


class Ahead(_Part):
    """What is forecast, and from when."""

    horizon: Span
    following: Annotated[int, Field(ge=1)] | None = None
    """Only so many next measurements of each variable."""
    classes: tuple[tuple[float, float], ...] = Field(min_length=1)
    """Classes of hours ahead in which figures are reported, lower bound included."""
    origins: Literal["measurements", "treatments"] = "measurements"
    """Forecasts begin when a measurement became known, or when one of `treatments` changed or began."""
    treatments: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Inputs whose contribution is measured, as in `evaluate`."""
    particles: Annotated[int, Field(ge=100, le=1_000_000)] = 4096
    """Of the filter that rolls each twin on after its first fit."""

    @model_validator(mode="after")
    def _said(self) -> "Ahead":
        if any(low >= high for low, high in self.classes):
            raise ValueError("each of `classes` must be [from, to] in hours, from below to")
        if (self.origins == "treatments") != bool(self.treatments):
            raise ValueError("`treatments` must be named if, and only if, `origins` is treatments")
        return self


class Subgroup(_Part):
    """A property by which patients are told apart; a number is cut at `edges`."""

    covariate: str
    edges: tuple[float, ...] = ()


class Threshold(_Part):
    """What a figure must meet, stated before the results."""

    figure: Literal[FIGURES]  # type: ignore[valid-type]
    horizon: str
    """Such as 0.4–1.5 h, one of the classes."""
    variable: str | None = None
    relative_to: str | None = None
    """The figure over that of this forecaster."""
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Threshold":
        if self.at_least is None and self.at_most is None and self.below is None:
            raise ValueError("a threshold needs `at_least`, `at_most` or `below`")
        return self

    def said(self) -> str:
        """Return the threshold in words."""
        bounds = {"≥": self.at_least, "≤": self.at_most, "<": self.below}
        over = f" relative to {self.relative_to}" if self.relative_to else ""
        limits = " and ".join(f"{sign} {value:g}" for sign, value in bounds.items() if value is not None)
        return f"{self.figure.replace('_', ' ')}{over}, {self.horizon}: {limits}"

    def holds(self, value: float) -> bool:
        """Tell whether a figure meets it."""
        return bool(
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


class Protocol(_Part):
    """Everything a study is, before its results."""

    version: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w-]+$")]
    title: str
    context_of_use: str = ""
    """Who would use which output for which decision in which patients; without it there is no credibility report."""
    source: Source
    inclusion: Inclusion
    model: Model
    population: Annotated[Given | LeftOut | Elsewhere, Field(discriminator="kind")] | None = None
    forecast: Ahead
    events: tuple[str, ...] = ()
    """Such as glucose < 4 mmol/L."""
    baselines: tuple[Literal[FORECASTERS], ...] = FORECASTERS  # type: ignore[valid-type]
    subgroups: tuple[Subgroup, ...] = ()
    smallest_cell: Annotated[int, Field(ge=1)] = 5
    """Cells of fewer patients are suppressed."""
    thresholds: tuple[Threshold, ...] = ()
    levels: Levels = (0.5, 0.8, 0.9, 0.95)
    time_limit: Span = "30 min"
    """What one patient may take."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    limits: tuple[str, ...] = ()
    """What the study cannot tell, in sentences."""

    @model_validator(mode="after")
    def _consistent(self) -> "Protocol":
        model = self.model.build()
        outputs, inputs = model.quantities(model.Output), model.quantities(model.Input)
        for name in self.inclusion.keep[:1]:
            if name not in outputs:
                raise ValueError(
                    f"inclusion.keep: model {self.model.name} has no output {name!r}; {nearest(name, outputs)}"
                )
        for name in (*self.forecast.without, *self.forecast.treatments):
            if name not in inputs:
                raise ValueError(f"forecast: model {self.model.name} has no input {name!r}; {nearest(name, inputs)}")
        for text in self.events:
            try:
                Event.read(text, {name: declared.unit for name, declared in outputs.items()})
            except ValueError as error:
                raise ValueError(f"events: {error}") from None
        labels = [label(low, high) for low, high in self.forecast.classes]
        for one in self.thresholds:
            if one.horizon not in labels:
                raise ValueError(f"thresholds: there is no class {one.horizon!r}; {nearest(one.horizon, labels)}")
            if one.relative_to is not None and one.relative_to not in self.baselines:
                raise ValueError(f"thresholds: {one.relative_to!r} is not among `baselines`; add it there")
        return self

    def mark(self) -> str:
        """Return a hash of everything that results depend on."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def label(low: float, high: float) -> str:
    """Return the name of a class of hours ahead."""
    return f"{low:g}–{high:g} h"


def schema() -> dict[str, Any]:
    """Return the JSON schema of a study file."""
    return Protocol.model_json_schema()


def shipped() -> list[str]:
    """Return the names of the studies that ship."""
    return sorted(path.stem for path in (bundled() / "studies").glob("*.yaml"))


def read(path: str | PathLike[str]) -> Protocol:
    """Read a study file, or one that ships by its name.

    Parameters
    ----------
    path : str or Path
        YAML, or JSON; or a name such as "glucose".

    Returns
    -------
    Protocol

    Raises
    ------
    FileNotFoundError
        If there is neither such a file nor such a name.
    ValueError
        Naming file, line, field and remedy of everything that is wrong.
    """
    import yaml  # here because it comes with an extra

    file = Path(path)
    if not file.exists() and not file.suffix:
        file = bundled() / "studies" / f"{path}.yaml"
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no study file at `{path}`, and none of this name ships: {', '.join(shipped())}."
        )
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, yaml.SafeLoader)
        said = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is no text in UTF-8"
        raise ValueError(f"{file.name}{place}: {problem}; write it as YAML.") from None
    if not isinstance(said, Mapping):
        raise ValueError(f"{file.name}, line 1: a study file is a mapping of fields; begin with `version: 1`.")
    lines: dict[tuple, int] = {}
    _number(node, (), lines, file.name)
    try:
        return Protocol.model_validate(said, strict=False)
    except pydantic.ValidationError as error:
        raise ValueError("; ".join(_remedied(one, lines, file.name) for one in error.errors())) from None


def _number(node: Any, place: tuple, lines: dict[tuple, int], name: str) -> None:
    """Note the line of every field, and refuse a field that is there twice."""
    lines[place] = node.start_mark.line + 1
    if node.id == "mapping":
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise ValueError(f"{name}, line {key.start_mark.line + 1}, {key.value}: is there twice; remove one.")
            seen.add(key.value)
            _number(value, (*place, key.value), lines, name)
            lines[*place, key.value] = key.start_mark.line + 1
    elif node.id == "sequence":
        for i, value in enumerate(node.value):
            _number(value, (*place, i), lines, name)


def _remedied(error: Any, lines: Mapping[tuple, int], file: str) -> str:
    # The kinds of population stand in the path of an error, though not in the file.
    place = tuple(part for part in error["loc"] if part not in ("given", "leave-one-patient-out", "other-source"))
    place = error["loc"] if error["loc"] in lines else place
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if not place and ": " in message:  # what concerns two fields names the one to change
        field, _, rest = message.partition(": ")
        place = next((one for one in (tuple(field.split(".")),) if one in lines), ())
        message = rest if place else message
    known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in lines)
    field = ".".join(str(part) for part in place) or "the file"
    if kind == "extra_forbidden":
        message = f"there is no such field; {nearest(str(place[-1]), _fields(place[:-1]))}"
    elif kind == "missing":
        message = "is missing; add it"
    elif kind != "value_error":
        message = f"{message}, but is {error['input']!r:.60}; change it"
    return f"{file}, line {lines[known]}, {field}: {message}"


def _fields(place: Sequence) -> list[str]:
    """Return the fields that the file may have at a place."""
    found: list[Any] = [Protocol]
    for part in place:
        if isinstance(part, int):
            continue
        inner = [cls.model_fields[part].annotation for cls in found if part in cls.model_fields]
        found = [cls for one in inner for cls in _classes(one)]
    return [name for cls in found for name in cls.model_fields]


def _classes(annotation: Any) -> list[Any]:
    if inspect.isclass(annotation) and issubclass(annotation, _Part):
        return [annotation]
    return [cls for inner in getattr(annotation, "__args__", ()) for cls in _classes(inner)]


def _variants(cls: type) -> list[str]:
    """Return the class methods that make a model without being told anything."""
    found = []
    for name, one in vars(cls).items():
        if isinstance(one, classmethod) and not name.startswith("_"):
            needed = [
                p for p in list(inspect.signature(one.__func__).parameters.values())[1:]
                if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            ]  # fmt: skip
            if not needed:
                found.append(name)
    return found
