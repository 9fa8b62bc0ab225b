"""The limits of the circulation that decisions name, with where each comes from and how sure that is."""

from ..respiratory.limits import Limit

HYPOTENSION = Limit(
    "mean_arterial_pressure < 65 mmHg",
    "initial target of the Surviving Sepsis Campaign 2021, doi:10.1007/s00134-021-06506-y",
)
OVERSHOOT = Limit(
    "mean_arterial_pressure > 85 mmHg",
    "upper end of the targets compared in doi:10.1186/s13054-015-0794-z (abstract); as a limit a setting",
)
CONGESTION = Limit(
    "central_venous_pressure > 15 mmHg",
    "upper end of an old target under ventilation, doi:10.1186/cc6979, Table 1; as a limit a setting",
)
# Not to be avoided: the answer that fluid is given for.
RESPONSE = Limit(
    "fluid_response > 10 %",
    "cut of studies of raised legs, 10 ± 2 % of cardiac output (Monnet 2016, abstract)",
)
LIMITS = (HYPOTENSION, OVERSHOOT, CONGESTION)
