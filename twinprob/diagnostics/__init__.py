"""How far to trust a twin: its fit, what its data can and cannot tell, and rival models.

Structural questions need the model alone; practical ones need the record as well.
"""

from .compare import Comparison, compare, log_evidence
from .determination import Determination, Grades
from .diagnose import Diagnosis, diagnose
from .finding import Finding
from .identify import Identification, determined, identify
from .information import Information, information
from .profiles import Profile, Profiles, profile
from .sensitivity import Morris, Sensitivity, Sobol, sensitivity
from .structural import Structural, structural
from .symmetry import Direction

__all__ = [
    "Comparison",
    "Determination",
    "Diagnosis",
    "Direction",
    "Finding",
    "Grades",
    "Identification",
    "Information",
    "Morris",
    "Profile",
    "Profiles",
    "Sensitivity",
    "Sobol",
    "Structural",
    "compare",
    "determined",
    "diagnose",
    "identify",
    "information",
    "log_evidence",
    "profile",
    "sensitivity",
    "structural",
]
