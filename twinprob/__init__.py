"""Probabilistic digital twins for intensive care: fit, update, forecast, and say how sure.

Research software, not a medical device.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import breaths, decisions, models, readers
from .decisions import (
    Cap,
    Goal,
    Monitor,
    Policy,
    Recommendation,
    Trial,
    VirtualPatients,
    grid,
    load_trial,
    monitor,
    recommend,
    trial,
)
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
from .forecasting import (
    WATCHED,
    Forecast,
    Recalibration,
    Risk,
    Watch,
    forecast,
    learn_recalibration,
    plan,
    recalibrate,
    risk,
    warm,
)
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
from .validation import Alarms, Calibration, Evaluation, Scores, calibrate, evaluate, judge_alarms, opponents, score

if TYPE_CHECKING:
    from .presentation import credibility, export, messages, plots, report
    from .validation.study.figures import Study
    from .validation.study.gather import read as load_study
    from .validation.study.run import study

__version__ = "0.2.0"

__all__ = [
    "NUTS",
    "SMC",
    "WATCHED",
    "AbstractModel",
    "Adaptive",
    "Alarms",
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
    "Monitor",
    "Morris",
    "Multiplicative",
    "Observation",
    "OrnsteinUhlenbeck",
    "Policy",
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
    "Study",
    "Threshold",
    "Trajectory",
    "Trial",
    "Twin",
    "Variational",
    "VirtualPatients",
    "Watch",
    "breaths",
    "calibrate",
    "compare",
    "couple",
    "covariate",
    "credibility",
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
    "judge_alarms",
    "learn_recalibration",
    "load",
    "load_cohort",
    "load_example",
    "load_population",
    "load_study",
    "load_trial",
    "log_evidence",
    "messages",
    "models",
    "monitor",
    "next_measurement",
    "opponents",
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
    "study",
    "trial",
    "update",
    "warm",
]

_LAZY = ("credibility", "export", "messages", "plots", "report")
# What the extra `study` is for: where it stands, and its name there.
_STUDIES = {"Study": ("figures", "Study"), "load_study": ("gather", "read"), "study": ("run", "study")}


def __getattr__(name: str) -> Any:
    """Import what pulls in matplotlib, jinja2 or pydantic only when it is used."""
    if name in _LAZY:
        return importlib.import_module(f".presentation.{name}", __name__)
    if name in _STUDIES:
        module, there = _STUDIES[name]
        return getattr(importlib.import_module(f".validation.study.{module}", __name__), there)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
