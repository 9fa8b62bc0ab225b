"""Pictures, one file a subject. The only folder that draws."""

from .alarms import alarm_curves, watched
from .circulation import guyton, pressure_volume
from .identifiability import contraction_against_shift, eigen_spectrum, profile_grid
from .narrowing import narrowing
from .next_measurement import next_measurement
from .recovery import recovery
from .sensitivity import sensitivity_over_time
from .sheet import Picture, backend, png
from .study import coverage, patients, pit, reliability
from .trial import trial
from .twin import fan, path, prior_posterior
from .vasopressor import dose_response, pressure_fans
from .ventilation import elastance, elastance_against_peep, loops, settings_fan, strip

__all__ = [
    "Picture",
    "alarm_curves",
    "backend",
    "contraction_against_shift",
    "coverage",
    "dose_response",
    "eigen_spectrum",
    "elastance",
    "elastance_against_peep",
    "fan",
    "guyton",
    "loops",
    "narrowing",
    "next_measurement",
    "path",
    "patients",
    "pit",
    "png",
    "pressure_fans",
    "pressure_volume",
    "prior_posterior",
    "profile_grid",
    "recovery",
    "reliability",
    "sensitivity_over_time",
    "settings_fan",
    "strip",
    "trial",
    "watched",
]
