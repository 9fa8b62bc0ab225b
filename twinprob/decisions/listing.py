"""The page of all protocols, made from their classes: settings, sources, and what the prints leave open."""

import dataclasses

from . import protocols
from .protocol import AbstractProtocol

_HEAD = """# The protocols that are shipped

Made from the classes (`twinprob.decisions.listing.page()`); a test compares it with them. A number marked as a setting
of this library, from memory or from a web page is not published. The gaps say what a print leaves open, and
what was done.
"""


def page() -> str:
    """Return the page in Markdown, by domain and name."""
    parts = [_HEAD]
    domains: dict[str, list[type[AbstractProtocol]]] = {}
    for cls in protocols.by_name().values():
        domains.setdefault(cls.__module__.split(".")[3], []).append(cls)
    for domain, classes in sorted(domains.items()):
        parts.append(f"\n## {domain.capitalize()}\n")
        parts += [_entry(cls) for cls in sorted(classes, key=lambda cls: cls.__name__)]
    return "".join(parts)


def _entry(cls: type[AbstractProtocol]) -> str:
    first = (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    lines = [
        f"\n### {cls.__name__}\n",
        f"{first}\n",
        f"- reads {_named(cls.reads)}; gives {_named(cls.gives)}"
        + (f"; knows {_named(cls.knows)}" if cls.knows else "")
        + f"; at the earliest every {cls.resolution}",
        f"- source: {cls.source}",
    ]
    lines += [f"- gap: {gap}" for gap in cls.gaps]
    if cls.settings():
        lines += ["", "| setting | default | unit | meaning | source |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        declared = cls.settings().get(field.name)
        if declared is not None:
            default = "none" if field.default in (dataclasses.MISSING, None) else _plain(field.default)
            row = (f"`{field.name}`", default, declared.unit, declared.about, declared.source)
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _named(declared) -> str:
    return ", ".join(f"`{name}` ({unit})" for name, unit in declared.items())


def _plain(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
