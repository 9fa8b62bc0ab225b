"""Probabilistic digital twins for intensive care: fit, update, forecast, and say how sure.

Research software, not a medical device.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import models, readers
from .calibrate import Calibration, calibrate
from .diagnose import Diagnosis, Finding, diagnose
from .evaluate import Evaluation, evaluate
from .examples import load_example
from .fit import fit
from .fit_population import fit_population
from .forecast import Forecast, forecast
from .inputs import Inputs
from .joint import Joint, joint
from .methods.filter import Filter
from .methods.laplace import Laplace
from .methods.nuts import NUTS
from .model import AbstractModel, covariate, parameter, quantity
from .observation import Contaminated, Gaussian, Multiplicative, Observation, StudentT
from .population import Population, load_population
from .process import OrnsteinUhlenbeck, RandomWalk
from .readers.tidy import read_tidy
from .record import Record, Series
from .risk import Risk, risk
from .score import Scores, score
from .simulate import Adaptive, FixedStep, Trajectory, simulate
from .twin import Twin, load
from .update import update

if TYPE_CHECKING:
    from . import export, plots, report

__version__ = "0.1.0"

__all__ = [
    "NUTS",
    "AbstractModel",
    "Adaptive",
    "Calibration",
    "Contaminated",
    "Diagnosis",
    "Evaluation",
    "Filter",
    "Finding",
    "FixedStep",
    "Forecast",
    "Gaussian",
    "Inputs",
    "Joint",
    "Laplace",
    "Multiplicative",
    "Observation",
    "OrnsteinUhlenbeck",
    "Population",
    "RandomWalk",
    "Record",
    "Risk",
    "Scores",
    "Series",
    "StudentT",
    "Trajectory",
    "Twin",
    "calibrate",
    "covariate",
    "diagnose",
    "evaluate",
    "export",
    "fit",
    "fit_population",
    "forecast",
    "joint",
    "load",
    "load_example",
    "load_population",
    "models",
    "parameter",
    "plots",
    "quantity",
    "read_tidy",
    "readers",
    "report",
    "risk",
    "score",
    "simulate",
    "update",
]

_LAZY = ("export", "plots", "report")


def __getattr__(name: str) -> Any:
    """Import what pulls in matplotlib or jinja2 only when it is used."""
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
