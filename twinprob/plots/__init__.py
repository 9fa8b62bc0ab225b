"""Pictures, one file a subject. The only folder that draws."""

from .sheet import Picture, backend, png
from .twin import fan, path, prior_posterior

__all__ = ["Picture", "backend", "fan", "path", "png", "prior_posterior"]
