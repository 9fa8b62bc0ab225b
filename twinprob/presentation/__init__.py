"""For people to look at: tables, pictures, pages.

Imported lazily, since it pulls in matplotlib and jinja2.
"""

from . import export, messages, plots, report

__all__ = ["export", "messages", "plots", "report"]
