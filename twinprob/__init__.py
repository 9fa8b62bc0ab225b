"""Probabilistic digital twins for intensive care: fit, update, forecast, and say how sure.

Research software, not a medical device.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import models, readers
from .calibrate import Calibration, calibrate
from .candidate import Candidate, Choice, Future, Threshold
from .cohort import Cohort, load_cohort
from .compare import Comparison, compare, log_evidence
from .couple import Coupled, couple
from .determination import Determination, Grades
from .diagnose import Diagnosis, Finding, diagnose
from .evaluate import Evaluation, evaluate
from .examples import load_example
from .fit import fit
from .fit_cohort import fit_cohort
from .fit_population import fit_population, fit_population_of_others
from .forecast import Forecast, forecast
from .identify import Identification, determined, identify
from .information import Information, information
from .inputs import Inputs
from .joint import Joint, joint
from .methods.filter import Filter
from .methods.laplace import Laplace
from .methods.nuts import NUTS
from .methods.smc import SMC
from .methods.variational import Variational
from .model import AbstractModel, covariate, parameter, quantity
from .next_measurement import next_measurement
from .observation import Contaminated, Gaussian, Multiplicative, Observation, Repeats, StudentT
from .population import Population, load_population
from .process import OrnsteinUhlenbeck, RandomWalk
from .profiles import Profile, Profiles, profile
from .ranking import Ranking
from .readers.tidy import read_tidy
from .record import Record, Series
from .risk import Risk, risk
from .score import Scores, score
from .sensitivity import Morris, Sensitivity, Sobol, sensitivity
from .simulate import Adaptive, FixedStep, Trajectory, simulate
from .structural import Structural, structural
from .symmetry import Direction
from .twin import Twin, load
from .update import update

if TYPE_CHECKING:
    from . import export, plots, report

__version__ = "0.1.0"

__all__ = [
    "NUTS",
    "SMC",
    "AbstractModel",
    "Adaptive",
    "Calibration",
    "Candidate",
    "Choice",
    "Cohort",
    "Comparison",
    "Contaminated",
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
    "Record",
    "Repeats",
    "Risk",
    "Scores",
    "Sensitivity",
    "Series",
    "Sobol",
    "Structural",
    "StudentT",
    "Threshold",
    "Trajectory",
    "Twin",
    "Variational",
    "calibrate",
    "compare",
    "couple",
    "covariate",
    "determined",
    "diagnose",
    "evaluate",
    "export",
    "fit",
    "fit_cohort",
    "fit_population",
    "fit_population_of_others",
    "forecast",
    "identify",
    "information",
    "joint",
    "load",
    "load_cohort",
    "load_example",
    "load_population",
    "log_evidence",
    "models",
    "next_measurement",
    "parameter",
    "plots",
    "profile",
    "quantity",
    "read_tidy",
    "readers",
    "report",
    "risk",
    "score",
    "sensitivity",
    "simulate",
    "structural",
    "update",
]

_LAZY = ("export", "plots", "report")


def __getattr__(name: str) -> Any:
    """Import what pulls in matplotlib or jinja2 only when it is used."""
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
