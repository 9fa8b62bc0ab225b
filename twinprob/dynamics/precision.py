"""Double precision for a verb, whatever the caller has set."""

from functools import wraps

import jax

from .programs import require_unforked


def in_double_precision(verb):
    """Run a verb in float64 and leave the user's setting untouched: sensitivities of ODEs need it."""

    @wraps(verb)
    def run(*args, **kwargs):
        require_unforked()
        with jax.enable_x64(True):
            return verb(*args, **kwargs)

    return run
