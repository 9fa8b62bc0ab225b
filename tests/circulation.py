"""What the scripts and tests of the circulation share: inputs that are levels, such as a blood loss."""

import numpy as np

import twinprob as tp
from twinprob.patient.course import Course


def level(name: str, times, values, unit: str) -> tp.Inputs:
    """Return inputs that hold each value from its time (min) until the next; before the first they are zero."""
    begins = np.asarray(times, float)
    course = Course(begins, np.append(begins[1:], np.inf), np.asarray(values, float), unit, np.zeros(len(begins), bool))
    return tp.Inputs({name: course})
