"""ICING: the Intensive Control Insulin-Nutrition-Glucose model, by its published and its charted parameter sets."""

from typing import Any

from .charted import ChartedICING
from .insulin_nutrition import (
    SECRETION_LIN,
    SECRETION_MATLAB,
    SECRETION_NORMAL,
    SECRETION_THESIS,
    SECRETION_TYPE_1,
    SECRETION_TYPE_2,
    AbstractICING,
    ExponentialSecretion,
    LinearSecretion,
)

__all__ = [
    "ICING",
    "SECRETION_LIN",
    "SECRETION_MATLAB",
    "SECRETION_NORMAL",
    "SECRETION_THESIS",
    "SECRETION_TYPE_1",
    "SECRETION_TYPE_2",
    "ExponentialSecretion",
    "LinearSecretion",
]


class ICING(AbstractICING):
    """Glucose, insulin and nutrition of one patient in intensive care, as published.

    The equations are those of `AbstractICING`. The published transcriptions disagree; `ICING.icing2016()` (the default
    values) and `ICING.lin2011()` are the two named parameter sets. For the chart of a real patient, where contents of
    feeds and much else are not known, take `ICING.charted()`.
    """

    @classmethod
    def icing2016(cls, **values):
        """Return the values that chase-icing attributes to 'TBME-01160-2016 Table II', linear secretion."""
        return cls(**values)

    @classmethod
    def lin2011(cls, **values):
        """Return the transcription headed 'Lin, J. et al (2011)': V_I 3.15 L, n_I = n_C = 0.003/min, u_en(I)."""
        lin = {
            "insulin_effect_saturation": 0.0154,
            "insulin_volume": 3.15,
            "transcapillary_diffusion": 0.003,
            "cellular_degradation": 0.003,
            "gastric_emptying": 0.0347,
            "gut_absorption": 0.0069,
            "secretion": SECRETION_LIN,
        }
        return cls(**{**lin, **values})

    @classmethod
    def charted(cls, **values: Any) -> ChartedICING:
        """Return the model for what is charted at the bedside, `ChartedICING`."""
        return ChartedICING(**values)
