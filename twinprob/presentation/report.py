"""One page about one twin: static HTML with its pictures inside."""

import os
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from .. import storage
from ..diagnostics.diagnose import diagnose
from ..display import number, picture
from ..forecasting.forecast import Forecast
from ..forecasting.risk import risk
from ..inference.twin import Twin
from . import plots
from .export import parameters_frame

__all__ = ["html", "write"]

HEAD = """{% macro grid(header, rows) %}<div class="scroll"><table>
<tr>{% for name in header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}{% if cell is float %}<td class="number">{{ number(cell) }}</td>
{% else %}<td>{{ cell }}</td>{% endif %}{% endfor %}</tr>
{% endfor %}</table></div>{% endmacro %}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
tr { border-bottom: 1px solid rgba(128, 128, 128, .4); }
td.number { text-align: right; }
.warning { border-left: 4px solid #D55E00; padding: .3rem .8rem; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="warning"><strong>Research software, not a medical device.</strong> Nothing on this page is medical advice.</p>
"""
_PAGE = """<p>{{ about }}</p>
<h2>How far to trust it: {{ diagnosis.headline }}</h2>
{{ grid(("what", "verdict", "evidence", "what to do"), findings) }}
{% for title, image in pictures %}<h2>{{ title }}</h2>
{{ image }}
{% endfor %}{% if ahead %}<h2>Forecast, {{ level }} % credible intervals of measurements</h2>
{{ grid(("hours ahead", "variable", "median", "from", "to", "unit"), ahead) }}
{% for r in risks %}<p>{{ r }}</p>
{% endfor %}{% endif %}<h2>Parameters, {{ level }} % credible intervals</h2>
{{ grid(("parameter", "median", "from", "to", "unit", "source"), parameters) }}
<h2>Where it comes from</h2>
{% for sentence in account %}<p>{{ sentence }}</p>
{% endfor %}{{ grid(("what", "value"), provenance) }}
</body>
</html>
"""


def html(
    twin: Twin,
    ahead: Forecast | None = None,
    *,
    events: tuple[str, ...] = (),
    target: tuple[float, float] | None = None,
    ci_prob: float = 0.9,
) -> str:
    """Return a page about a twin, and its forecast if there is one.

    Parameters
    ----------
    twin : Twin
    ahead : Forecast, optional
    events : tuple of str
        Risks to state, such as ``"glucose < 4 mmol/L"``; they need a forecast.
    target : (float, float), optional
        As for `plots.fan`.
    ci_prob : float
        Probability inside the intervals of the tables.

    Returns
    -------
    page : str
        Complete HTML without scripts and without links to anywhere.

    Raises
    ------
    ValueError
        If `events` are given without a forecast.
    """
    if events and ahead is None:
        raise ValueError("Argument `events` needs a forecast: `html(twin, forecast(twin, ...), events=...)`.")
    provenance = twin.provenance
    parameters = parameters_frame(twin, ci_prob=ci_prob).groupby("parameter", sort=False).tail(1)
    diagnosis = diagnose(twin)
    kept = ("method", "settings", "key", "versions", "model", "data_hash", "khat", "importance_ess", "effective_draws")
    return rendered(
        _PAGE,
        title=f"A digital twin of one patient: {type(twin.model).__name__}",
        about=(
            f"Known until {twin.now / 60:.1f} h after the record's origin; {twin.draws} draws from the posterior, "
            f"worth {twin.effective_draws:.0f} independent ones. Parameters that vary are given as they are now."
        ),
        diagnosis=diagnosis,
        findings=[(f.subject, f.verdict, f.evidence, f.action) for f in diagnosis.findings],
        pictures=_pictures(twin, ahead, target),
        ahead=[] if ahead is None else _each_hour(ahead, ci_prob),
        level=number(100 * ci_prob),
        risks=[str(risk(ahead, event)) for event in events] if ahead is not None else [],
        parameters=_rows(parameters, "parameter", "median", "lower", "upper", "unit", "source"),
        provenance=[(name, provenance[name]) for name in kept if name in provenance],
        account=[sentence for sentence in (twin.record.ledger.said(), *twin.record.notes) if sentence],
    )


def rendered(template: str, **values: Any) -> str:
    """Return a page made of a template after `HEAD`; every value is escaped that is not marked as safe."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(HEAD + template).render(number=number, **values)


def _each_hour(ahead: Forecast, ci_prob: float) -> list:
    frame = ahead.summary(ci_prob=ci_prob)
    whole = (frame["hours_ahead"] % 1.0).round(6).isin([0.0, 1.0])
    return _rows(frame[whole] if whole.any() else frame, "hours_ahead", "variable", "median", "lower", "upper", "unit")


def _rows(frame: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def _pictures(twin: Twin, ahead: Forecast | None, target: tuple[float, float] | None) -> list[tuple[str, Markup]]:
    drawn = [
        (
            "Past and future" if ahead is not None else "Past",
            plots.fan(twin, target=target) if ahead is None else plots.fan(ahead, twin=twin, target=target),
            "fan chart of the output over time with its credible bands, measurements, and inputs below",
        ),
        *(
            (f"Path of {name.replace('_', ' ')}", plots.path(twin, name), f"credible bands of {name} over time")
            for name in twin.model.processes()
        ),
        ("Before and after the data", plots.prior_posterior(twin), "prior and posterior density of every parameter"),
    ]
    return [(title, Markup(picture(plots.png(figure), alt=alt))) for title, figure, alt in drawn]


def write(
    twin: Twin,
    path: str | os.PathLike[str],
    ahead: Forecast | None = None,
    *,
    events: tuple[str, ...] = (),
    target: tuple[float, float] | None = None,
    ci_prob: float = 0.9,
) -> None:
    """Write the page that `html` returns.

    Parameters
    ----------
    twin : Twin
    path : str or Path
        Replaced if it exists; whole or not at all.
    ahead : Forecast, optional
    events, target, ci_prob
        As for `html`.

    Raises
    ------
    ValueError
        As `html`.
    """
    storage.write(path, html(twin, ahead, events=events, target=target, ci_prob=ci_prob))
