"""From the joint density of parameters and data to a twin: one patient, many patients, the next hour.

`methods` holds the ways to infer; the verbs here join a model with a record and keep the twin current.
"""

from .cohort import Cohort, load_cohort
from .experiments import Experiments, load_experiments
from .fit import fit
from .fit_cohort import fit_cohort
from .fit_population import fit_population
from .joint import Joint, joint
from .methods import NUTS, SMC, Filter, Laplace, Variational
from .optimum import Optimum, optimum
from .population import Population, load_population
from .twin import Twin, load
from .update import update

__all__ = [
    "NUTS",
    "SMC",
    "Cohort",
    "Experiments",
    "Filter",
    "Joint",
    "Laplace",
    "Optimum",
    "Population",
    "Twin",
    "Variational",
    "fit",
    "fit_cohort",
    "fit_population",
    "joint",
    "load",
    "load_cohort",
    "load_experiments",
    "load_population",
    "optimum",
    "update",
]
