"""Probabilistic digital twins for intensive care: fit, update, forecast, and say how sure.

Research software, not a medical device.
"""

import difflib
import importlib
import warnings
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    # NumPyro's progress bar asks for widgets when it is imported in a notebook; no bar of ours is one.
    warnings.filterwarnings("ignore", message="IProgress not found")
    import numpyro as _numpyro  # noqa: F401

from . import breaths, decisions, models, readers
from .decisions import (
    Cap,
    Cause,
    Explanation,
    Goal,
    Monitor,
    Policy,
    Recommendation,
    Trial,
    VirtualPatients,
    explain,
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
    Replay,
    Risk,
    Watch,
    forecast,
    learn_recalibration,
    load_recalibration,
    plan,
    recalibrate,
    replay,
    risk,
    save_recalibration,
    warm,
)
from .inference import (
    NUTS,
    SMC,
    Cohort,
    Experiments,
    Filter,
    Joint,
    Laplace,
    Optimum,
    Population,
    Twin,
    Variational,
    fit,
    fit_cohort,
    fit_population,
    joint,
    load,
    load_cohort,
    load_experiments,
    load_population,
    optimum,
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
    log10_normal,
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
    "Cause",
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
    "Experiments",
    "Explanation",
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
    "Optimum",
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
    "Replay",
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
    "explain",
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
    "load_experiments",
    "load_population",
    "load_recalibration",
    "load_study",
    "load_trial",
    "log10_normal",
    "log_evidence",
    "messages",
    "models",
    "monitor",
    "next_measurement",
    "opponents",
    "optimum",
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
    "replay",
    "report",
    "risk",
    "save_recalibration",
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
    near = ", ".join(difflib.get_close_matches(name, __all__, n=5, cutoff=0.5))
    hint = f"; the nearest names: {near}" if near else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
