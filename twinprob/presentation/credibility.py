"""What a reviewer of a study would ask for, on one page and as JSON: lines that passed, failed, or were not done.

A line is "not falsified", never "valid": a study can only fail to find a fault. Without a context of use there is no
credibility to speak of, and the page says so in its title.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from markupsafe import Markup

from .. import storage
from ..display import number, picture
from ..validation.study.checks import Check, lines
from ..validation.study.figures import Study
from . import plots
from .report import rendered

__all__ = ["FORMAT", "Check", "document", "html", "lines", "write"]

FORMAT = "twinprob.credibility/1"

_PAGE = """<p>{{ about }}</p>
<h2>Context of use</h2>
<p>{{ context }}</p>
<h2>{{ headline }}</h2>
{% if falsified %}<ul>{% for one in falsified %}<li>{{ one }}</li>
{% endfor %}</ul>{% endif %}
{% for area, rows in areas %}<h3>{{ area }}</h3>
{{ grid(("line", "verdict", "evidence"), rows) }}
{% endfor %}<h2>From the extract to the forecasts</h2>
{{ grid(("stays", "what became of them"), flow) }}
<p>{{ rows_read }}</p>
<h2>Forecasts, means over patients</h2>
<p>{{ stand_in }}</p>
{{ grid(header, figures) }}
{% if events %}<h2>Probabilities of events</h2>
{{ grid(event_header, events) }}
{% endif %}{% if subgroups %}<h2>Subgroups</h2>
<p>Cells of fewer than {{ smallest }} patients are suppressed.</p>
{{ grid(subgroup_header, subgroups) }}
{% endif %}{% for title, image in pictures %}<h2>{{ title }}</h2>
{{ image }}
{% endfor %}<h2>The model</h2>
{{ grid(("unknown", "unit", "prior: median (90 %)", "source"), parameters) }}
<h2>Limits</h2>
<ul>{% for one in limits %}<li>{{ one }}</li>
{% endfor %}</ul>
<h2>The study as it was stated</h2>
<pre>{{ stated }}</pre>
</body>
</html>
"""


def html(study: Study, *, others: Sequence[Check] = ()) -> str:
    """Return the page of a study.

    Parameters
    ----------
    study : Study
    others : sequence of Check
        As for `lines`.

    Returns
    -------
    page : str
        Complete HTML with its pictures inside, without scripts and without links to anywhere.
    """
    checks, protocol = lines(study, others), study.protocol
    counts = pd.Series([one.verdict for one in checks]).value_counts()
    falsified = [f"{one.area}: {one.line} — {one.evidence}" for one in checks if one.verdict == "failed"]
    areas = list(dict.fromkeys(one.area for one in checks))
    events = study.events()
    shown = ["event", "forecaster", "horizon", "forecasts", "events", "brier", "slope", "intercept",
             "observed_over_expected", "auroc", "auprc", "within"]  # fmt: skip
    subgroups = study.subgroups()
    model = protocol.model.build()
    return rendered(
        _PAGE,
        title=f"{_title(study)}: {protocol.title}",
        about=(
            f"{study.flow['patient'].nunique()} patients, {len(study.flow)} stays; model {protocol.model.name}"
            f"{f', variant {protocol.model.variant}' if protocol.model.variant else ''}; population: "
            f"{protocol.population.kind if protocol.population else 'none, the model as declared'}."
        ),
        context=protocol.context_of_use or "None was stated: nothing on this page says what the model may be used for.",
        headline=_headline(counts),
        falsified=falsified,
        areas=[(area, [(c.line, c.verdict, c.evidence) for c in checks if c.area == area]) for area in areas],
        flow=_flow(study),
        rows_read=_rows_read(study),
        stand_in=(
            f"{int(study.scores.pairs['stood_in'].sum())} forecasts failed; in the place of each stands that of "
            "“other patients”, so that nobody gains by failing."
        ),
        header=("forecaster", "variable", "horizon", "patients", "pairs", "90 % coverage", "interval score", "CRPS",
                "log score", "mean absolute error"),
        figures=_figures(study),
        event_header=tuple(name.replace("_", " ") for name in shown),
        events=[tuple("" if pd.isna(x) else x for x in row) for row in _plain(events[shown])] if len(events) else [],
        subgroups=[tuple("suppressed" if pd.isna(x) else x for x in row) for row in _plain(subgroups)],
        subgroup_header=tuple(name.replace("_", " ") for name in subgroups.columns),
        smallest=protocol.smallest_cell,
        pictures=_pictures(study),
        parameters=_unknowns(model),
        limits=[*protocol.limits, "A study looks back: what it did not falsify may fail in other patients and later."],
        stated=protocol.model_dump_json(indent=1),
    )  # fmt: skip


def _unknowns(model: Any) -> list[tuple[str, str, str, str]]:
    """Return name, unit, prior (its kind, median and 90 %) and source of everything that is fitted."""
    rows = []
    for name in model.unknowns():
        one = model.parameters()[name]
        prior = model.priors.get(name, one.prior)
        if not hasattr(prior, "sample"):
            said = "depends on the patient's properties"
        else:
            low, middle, high = np.quantile(np.asarray(prior.sample(jax.random.key(0), (2000,))), [0.05, 0.5, 0.95])
            said = f"{type(prior).__name__}, {number(float(middle))} ({number(float(low))}–{number(float(high))})"
        rows.append((name.replace("_", " "), one.unit, said, one.source or ""))
    return rows


def _title(study: Study) -> str:
    return "Credibility report" if study.protocol.context_of_use else "Figures of a study without a context of use"


def _headline(counts: pd.Series) -> str:
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("passed", "failed", "not done", "for a human"))
    if counts.get("failed", 0):
        return f"Falsified in {counts['failed']} of {counts.sum()} lines ({said})"
    return f"Not falsified in the {counts.get('passed', 0)} lines that were tested ({said})"


def _flow(study: Study) -> list[tuple[int, str]]:
    flow = study.flow
    reasons = flow.assign(why=np.where(flow["reason"] == "", flow["fate"], flow["fate"] + ": " + flow["reason"]))
    counts = reasons["why"].value_counts()
    return [(len(flow), "in the extract"), *((int(count), str(why)) for why, count in counts.items())]


def _rows_read(study: Study) -> str:
    totals: dict[str, int] = {}
    for ledger in study.flow["ledger"]:
        for fate, count in (ledger or {}).items():
            totals[fate] = totals.get(fate, 0) + count
    return (
        "Rows of the stays that were rolled: "
        + (", ".join(f"{n} {fate}" for fate, n in totals.items()) or "none")
        + "."
    )


def _figures(study: Study) -> list[tuple]:
    columns = ["forecaster", "variable", "horizon", "patients", "pairs", "coverage", "interval_score", "crps",
               "log_score", "mean_absolute_error"]  # fmt: skip
    rows = []
    for row in study.summary().to_dict("records"):
        cells = []
        for name in columns:
            value = row[name]
            low = row.get(f"{name}_low")
            some = isinstance(value, float) and np.isfinite(value)
            text = (
                f"{value:.3g}" + (f" ({low:.3g}–{row[f'{name}_high']:.3g})" if low is not None else "") if some else ""
            )
            cells.append(text if isinstance(value, float) else value)
        rows.append(tuple(cells))
    return rows


def _plain(frame: pd.DataFrame) -> list[list[Any]]:
    """Return rows of Python's own numbers and text."""
    return [[x.item() if hasattr(x, "item") else x for x in row] for row in frame.itertuples(index=False, name=None)]


def _pictures(study: Study) -> list[tuple[str, Markup]]:
    drawn = [
        ("Coverage", plots.coverage(study), "share of measurements inside intervals against their stated probability"),
        ("Where measurements lay in the forecasts", plots.pit(study), "histograms of the PIT"),
        *(
            (
                f"Reliability: {event}",
                plots.reliability(study, event),
                f"how often {event} came against its probability",
            )
            for event in study.protocol.events
        ),
        ("Best, middle and worst patient", plots.patients(study), "forecasts and measurements of three patients"),
    ]
    return [(title, Markup(picture(plots.png(figure), alt=alt))) for title, figure, alt in drawn]


def document(study: Study, *, others: Sequence[Check] = ()) -> dict[str, Any]:
    """Return the report as JSON: the same lines and tables, without pictures.

    Parameters
    ----------
    study : Study
    others : sequence of Check
        As for `lines`.

    Returns
    -------
    document : dict
        format, title, protocol (as stated), data, lines, flow, figures, events, subgroups. What is not a number is
        null.
    """
    tables = {"figures": study.summary(), "events": study.events(), "subgroups": study.subgroups()}
    return {
        "format": FORMAT,
        "title": f"{_title(study)}: {study.protocol.title}",
        "notice": "Research software, not a medical device.",
        "protocol": json.loads(study.protocol.model_dump_json()),
        "data": study.data,
        "lines": [asdict(one) for one in lines(study, others)],
        "flow": [{"stays": count, "what": what} for count, what in _flow(study)],
        **{name: _records(frame) for name, frame in tables.items()},
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): None if isinstance(x, float) and not np.isfinite(x) else x
            for name, x in zip(frame.columns, row, strict=True)
        }
        for row in _plain(frame)
    ]


def write(study: Study, folder: str | os.PathLike[str], *, others: Sequence[Check] = ()) -> None:
    """Write report.html and report.json, each whole or not at all.

    Parameters
    ----------
    study : Study
    folder : str or Path
        Made if it is not there.
    others : sequence of Check
        As for `lines`.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    storage.write(place / "report.html", html(study, others=others))
    said = document(study, others=others)
    storage.write(place / "report.json", json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False))
