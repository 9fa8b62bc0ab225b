"""What was measured and what was done, and when: units, inputs, the record of one patient.

Everything here is plain data in NumPy; nothing knows of a model.
"""

from .inputs import Inputs
from .record import Record, Series

__all__ = [
    "Inputs",
    "Record",
    "Series",
]
