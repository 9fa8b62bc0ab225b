"""The classes that a file may name: a closed table, and those of the user's own.

A file names a class by its public name. Nothing is imported and no attribute is looked up on a file's word.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import equinox as eqx
import numpyro.distributions as dist

from ..dynamics import solvers
from ..dynamics.integrators import AbstractIntegrator, Adaptive, FixedStep
from ..dynamics.rosenbrock import Rosenbrock
from ..modeling.correlated import Correlated
from ..modeling.couple import Coupled
from ..modeling.model import AbstractModel
from ..modeling.observation import (
    AbstractNoise,
    Contaminated,
    Gaussian,
    Multiplicative,
    Observation,
    Repeats,
    StudentT,
)
from ..modeling.process import AbstractProcess, OrnsteinUhlenbeck, RandomWalk
from ..models import by_name
from .methods import NUTS, SMC, Filter, Laplace, Variational
from .methods.sampled import AbstractMethod
from .past import Past

_PIECES = (
    *(OrnsteinUhlenbeck, RandomWalk),
    *(Contaminated, Gaussian, Multiplicative, StudentT, Correlated, Observation, Repeats),
    *(Adaptive, FixedStep, Rosenbrock),
    *(NUTS, SMC, Filter, Laplace, Variational),
    *solvers.CLASSES,
    Past,
)
_EXTENSIBLE = (AbstractModel, AbstractProcess, AbstractNoise, AbstractMethod, AbstractIntegrator)

PRIORS: Mapping[str, type[dist.Distribution]] = {
    cls.__name__: cls
    for cls in (
        dist.Beta,
        dist.BetaProportion,
        dist.Cauchy,
        dist.Exponential,
        dist.Gamma,
        dist.Gumbel,
        dist.HalfCauchy,
        dist.HalfNormal,
        dist.InverseGamma,
        dist.Laplace,
        dist.LeftTruncatedDistribution,
        dist.Logistic,
        dist.LogNormal,
        dist.LogUniform,
        dist.Normal,
        dist.RightTruncatedDistribution,
        dist.SoftLaplace,
        dist.StudentT,
        dist.TwoSidedTruncatedDistribution,
        dist.Uniform,
        dist.Weibull,
    )
}

# Where version 0.1 kept the classes that its files name by module.
_PATHS_THAT_WERE: Mapping[str, tuple[str, ...]] = {
    "twinprob.process": ("OrnsteinUhlenbeck", "RandomWalk"),
    "twinprob.observation": ("Contaminated", "Gaussian", "Multiplicative", "Observation", "Repeats", "StudentT"),
    "twinprob.simulate": ("Adaptive", "FixedStep"),
    "twinprob.methods.filter": ("Filter",),
    "twinprob.methods.laplace": ("Laplace",),
    "twinprob.methods.nuts": ("NUTS",),
    "twinprob.methods.smc": ("SMC",),
    "twinprob.methods.variational": ("Variational",),
    "twinprob.models.cardiovascular.preload": ("Preload",),
    "twinprob.models.cardiovascular.smith": ("SixChamber",),
    "twinprob.models.cardiovascular.three_chamber": ("ThreeChamber",),
    "twinprob.models.cardiovascular.windkessel": ("Windkessel2", "Windkessel3", "Windkessel4"),
    "twinprob.models.metabolic.icing": ("ExponentialSecretion", "ICING", "LinearSecretion"),
    "twinprob.models.metabolic.minimal": ("MinimalModel",),
    "twinprob.models.metabolic.oral": ("OralMinimalModel",),
    "twinprob.models.respiratory.charted": ("ChartedMechanics",),
    "twinprob.models.respiratory.gas_exchange": ("GasExchange", "Gases"),
    "twinprob.models.respiratory.mechanics": ("SingleCompartment",),
    "twinprob.models.respiratory.recruitment": ("Recruitment",),
    "twinprob.models.sepsis.baroreflex": ("VagalPressure",),
    "twinprob.models.sepsis.fluids": ("VolumeKinetics",),
    "twinprob.models.sepsis.lactate": ("Lactate",),
    "twinprob.models.sepsis.norepinephrine": ("Kinetics", "Norepinephrine"),
    "twinprob.models.sepsis.pressure": ("VasopressorPressure",),
}


class Misfit(Exception):
    """What of a file does not fit, in half a sentence; whoever opened the file completes it to a `ValueError`."""


@cache
def table() -> dict[str, type]:
    """Return the classes of twinprob, and of diffrax's solvers, that a file may name.

    Raises
    ------
    RuntimeError
        If two of them share a name.
    """
    names = [*by_name(), *(cls.__name__ for cls in _PIECES)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RuntimeError(f"Two classes that files may name are called {', '.join(twice)}; rename one of them.")
    return {**by_name(), **{cls.__name__: cls for cls in _PIECES}}


@cache
def old_names() -> dict[str, str]:
    """Return the public name of each class by the path that version 0.1 wrote."""
    moved = {f"{module}:{name}": name for module, names in _PATHS_THAT_WERE.items() for name in names}
    return moved | {f"{cls.__module__}:{cls.__qualname__}": cls.__name__ for cls in solvers.CLASSES}


def named(cls: type) -> dict[str, str]:
    """Return how a file names a class: as twinprob's, or as one of the user's own."""
    name = cls.__name__
    return {"class": name} if table().get(name) is cls else {"own": name}


@dataclasses.dataclass(frozen=True)
class Classes:
    """Where the classes that a file names are found.

    Attributes
    ----------
    verb : str
        The function that reads, for the remedy.
    model : type or None
        The class that the file's model must have, where the caller said so.
    given : mapping of str to class
        What the caller passed.
    """

    verb: str
    model: type | None
    given: Mapping[str, type]

    @classmethod
    def passed(cls, verb: str, model: Any, own: Iterable[type]) -> "Classes":
        """Take what the caller passed: a model or its class, and further classes.

        Raises
        ------
        TypeError
            If one of them is neither.
        """
        own = tuple(own)
        for one in own:
            if not isinstance(one, type):
                raise TypeError(f"Argument `own` must hold classes, but holds a `{type(one).__name__}`.")
        if model is None:
            return cls(verb, None, {one.__name__: one for one in own})
        kind = model if isinstance(model, type) else type(model)
        if not issubclass(kind, AbstractModel):
            raise TypeError(f"Argument `model` must be a model or its class, but is a `{kind.__name__}`.")
        inside = () if isinstance(model, type) else _inside(model)
        return cls(verb, kind, {one.__name__: one for one in (*inside, kind, *own)})

    def find(self, name: str) -> type:
        """Return a class of twinprob."""
        if name not in table():
            raise Misfit(f"it names class {shown(name)}, which twinprob does not have{self._remedy(name)}")
        return table()[name]

    def find_own(self, name: str) -> type:
        """Return a class that the user passed, or defined before in this process."""
        if name in self.given:
            return self.given[name]
        every = (cls for base in _EXTENSIBLE for cls in _below(base))
        # A notebook's cell that ran twice defined one class twice; the last one counts.
        defined = {(cls.__module__, cls.__qualname__): cls for cls in every if cls.__name__ == name}
        if len(defined) > 1:
            raise Misfit(f"it uses class {shown(name)}, of which this process knows {len(defined)}{self._remedy(name)}")
        if not defined:
            raise Misfit(f"it uses class {shown(name)}, which is not twinprob's{self._remedy(name)}")
        return defined.popitem()[1]

    def find_old(self, path: str) -> type:
        """Return the class that version 0.1 named by its module, `"module:name"`."""
        known = old_names().get(path)
        if known is not None:
            return self.find(known)
        name = path.rpartition(":")[2].rpartition(".")[2]
        if path.startswith(("twinprob.", "diffrax.", "optimistix.", "lineax.")) or name in table():
            raise Misfit(f"it names class {shown(path)}, which twinprob 0.1 did not have{self._remedy(name)}")
        return self.find_own(name)

    def require_model(self, model: Any) -> AbstractModel:
        """Return the model of a file, which is one, and of the class that the caller named."""
        if not isinstance(model, AbstractModel):
            raise Misfit(f"what stands for its model is a `{type(model).__name__}`")
        if self.model is not None and type(model) is not self.model:
            raise Misfit(f"its model is `{type(model).__name__}`, but argument `model` is `{self.model.__name__}`")
        return model

    def _remedy(self, name: str) -> str:
        word = name if name.isidentifier() else "MyModel"
        return f"; if it is yours, pass it: `{self.verb}(path, model={word})`, or `own=({word},)` where it is no model"


def shown(name: object) -> str:
    """Quote a text of a file in a message: short, and without control characters."""
    text = repr(name) if not isinstance(name, str) else "".join(c if c.isprintable() else "?" for c in name)
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"


def _below(base: Any) -> Iterator[type]:
    """Yield the classes derived from one of twinprob's, in the order of their definition, the library's left out."""
    for cls in base.__subclasses__():
        if not cls.__module__.startswith("twinprob."):
            yield cls
        yield from _below(cls)


def _inside(value: Any) -> Iterator[type]:
    """Yield the classes of the modules that a model holds."""
    if isinstance(value, eqx.Module):
        if not isinstance(value, Coupled):
            yield type(value)
        for field in dataclasses.fields(value):
            yield from _inside(getattr(value, field.name, None))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _inside(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _inside(item)
