"""One page about one twin, served to this machine alone, where a treatment is moved and the answer seen.

Every number on it is what the verbs give for the same key.
"""

from .answer import Asked, answer, compared, narrowing, standing, unsure
from .server import serve, site
from .treatments import read_caps

__all__ = ["Asked", "answer", "compared", "narrowing", "read_caps", "serve", "site", "standing", "unsure"]
