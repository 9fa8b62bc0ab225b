"""What tiers of data determine of one virtual patient, as the tables of the documentation show it."""

from collections.abc import Iterable

import jax

import twinprob as tp
from tests import ROOT

METHOD = tp.Laplace(starts=4, draws=200, proposals=1000)
VERDICTS = ("determined", "weakly determined", "not determined by these data", "structurally unidentifiable")


def verdicts(tiers: Iterable[tuple[str, tp.AbstractModel, tp.Record]]) -> dict[str, dict[str, str]]:
    """Return the verdict on each constant or path of each tier's model."""
    found = {}
    for number, (name, model, record) in enumerate(tiers):
        twin = tp.fit(model, record, key=jax.random.key(number), method=METHOD)
        said = tp.identify(twin, key=jax.random.key(number + 100), hours=())
        found[name] = {row.subject: row.verdict for row in said.parameters if row.subject in model.unknowns()}
    return found


def table(found: dict[str, dict[str, str]]) -> str:
    """Write the verdicts as a Markdown table."""
    lines = ["| data | " + " | ".join(VERDICTS) + " |", "|---" * (1 + len(VERDICTS)) + "|"]
    for name, said in found.items():
        cells = [", ".join(f"`{subject}`" for subject, word in said.items() if word == verdict) for verdict in VERDICTS]
        lines.append(f"| {name} | " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines)


def rows(written: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its rule."""
    return [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in written.splitlines() if "---" not in line
    ]


def on_the_page(page: str, header: str) -> list[list[str]]:
    """Return the cells of the table of a page of the documentation whose first line begins so."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return rows(next(block for block in text.split("\n\n") if block.startswith(header)))
