"""Probabilistic digital twins for intensive care: fit, update, forecast, and say how sure.

Research software, not a medical device.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import breaths, decisions, models, readers
from .decisions import Cap, Goal, Recommendation, Trial, VirtualPatients, grid, load_trial, recommend, trial
from .design import Candidate, Choice, Future, Ranking, Threshold, next_measurement
from .diagnostics import (
    Comparison,
    Determination,
    Diagnosis,
    Direction,
    Finding,
    Grades,
    Identification,
    Information,
    Morris,
    Profile,
    Profiles,
    Sensitivity,
    Sobol,
    Structural,
    compare,
    determined,
    diagnose,
    identify,
    information,
    log_evidence,
    profile,
    sensitivity,
    structural,
)
from .dynamics import Adaptive, FixedStep, Rosenbrock, Trajectory, simulate
from .forecasting import Forecast, Recalibration, Risk, forecast, learn_recalibration, plan, recalibrate, risk, warm
from .inference import (
    NUTS,
    SMC,
    Cohort,
    Filter,
    Joint,
    Laplace,
    Population,
    Twin,
    Variational,
    fit,
    fit_cohort,
    fit_population,
    joint,
    load,
    load_cohort,
    load_population,
    update,
)
from .modeling import (
    AbstractModel,
    Contaminated,
    Correlated,
    Coupled,
    Gaussian,
    Multiplicative,
    Observation,
    OrnsteinUhlenbeck,
    RandomWalk,
    Repeats,
    StudentT,
    couple,
    covariate,
    parameter,
    quantity,
)
from .patient import Inputs, Record, Series
from .readers.examples import load_example
from .readers.tidy import read_tidy
from .readers.wide import read_wide
from .validation import Calibration, Evaluation, Scores, calibrate, evaluate, score

if TYPE_CHECKING:
    from .presentation import export, messages, plots, report

__version__ = "0.2.0"

__all__ = [
    "NUTS",
    "SMC",
    "AbstractModel",
    "Adaptive",
    "Calibration",
    "Candidate",
    "Cap",
    "Choice",
    "Cohort",
    "Comparison",
    "Contaminated",
    "Correlated",
    "Coupled",
    "Determination",
    "Diagnosis",
    "Direction",
    "Evaluation",
    "Filter",
    "Finding",
    "FixedStep",
    "Forecast",
    "Future",
    "Gaussian",
    "Goal",
    "Grades",
    "Identification",
    "Information",
    "Inputs",
    "Joint",
    "Laplace",
    "Morris",
    "Multiplicative",
    "Observation",
    "OrnsteinUhlenbeck",
    "Population",
    "Profile",
    "Profiles",
    "RandomWalk",
    "Ranking",
    "Recalibration",
    "Recommendation",
    "Record",
    "Repeats",
    "Risk",
    "Rosenbrock",
    "Scores",
    "Sensitivity",
    "Series",
    "Sobol",
    "Structural",
    "StudentT",
    "Threshold",
    "Trajectory",
    "Trial",
    "Twin",
    "Variational",
    "VirtualPatients",
    "breaths",
    "calibrate",
    "compare",
    "couple",
    "covariate",
    "decisions",
    "determined",
    "diagnose",
    "evaluate",
    "export",
    "fit",
    "fit_cohort",
    "fit_population",
    "forecast",
    "grid",
    "identify",
    "information",
    "joint",
    "learn_recalibration",
    "load",
    "load_cohort",
    "load_example",
    "load_population",
    "load_trial",
    "log_evidence",
    "messages",
    "models",
    "next_measurement",
    "parameter",
    "plan",
    "plots",
    "profile",
    "quantity",
    "read_tidy",
    "read_wide",
    "readers",
    "recalibrate",
    "recommend",
    "report",
    "risk",
    "score",
    "sensitivity",
    "simulate",
    "structural",
    "trial",
    "update",
    "warm",
]

_LAZY = ("export", "messages", "plots", "report")


def __getattr__(name: str) -> Any:
    """Import what pulls in matplotlib or jinja2 only when it is used."""
    if name in _LAZY:
        return importlib.import_module(f".presentation.{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
