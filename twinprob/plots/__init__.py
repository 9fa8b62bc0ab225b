"""Pictures, one file a subject. The only folder that draws."""

from .identifiability import contraction_against_shift, eigen_spectrum, profile_grid
from .narrowing import narrowing
from .next_measurement import next_measurement
from .recovery import recovery
from .sensitivity import sensitivity_over_time
from .sheet import Picture, backend, png
from .twin import fan, path, prior_posterior
from .ventilation import elastance, loops, strip

__all__ = [
    "Picture",
    "backend",
    "contraction_against_shift",
    "eigen_spectrum",
    "elastance",
    "fan",
    "loops",
    "narrowing",
    "next_measurement",
    "path",
    "png",
    "prior_posterior",
    "profile_grid",
    "recovery",
    "sensitivity_over_time",
    "strip",
]
