"""Rolling-origin evaluation: at every measurement forecast the next from the past only, beside simple baselines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pandas as pd

from ..display import section, table
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..forecasting.forecast import forecast
from ..forecasting.recalibration import changes
from ..inference.fit import Personal, fit
from ..inference.joint import joint
from ..inference.methods.filter import Filter
from ..inference.methods.sampled import AbstractMethod, Sampler
from ..inference.simulable import simulable
from ..inference.twin import Twin
from ..inference.update import update
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.course import Course
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.require import require_count, require_each, require_key, require_kinds, require_spacing
from ..patient.units import convert, minutes
from .adapted import recalibrated, stacked
from .rivals import Forecasts, features, held, rivals, untreated
from .score import Scores, of_draws, summarize

HORIZONS = ((0.4, 1.5), (1.5, 2.5))
_PRIOR_DRAWS = 500
_KEYS = ("forecaster", "variable", "horizon")
_COLUMNS = ("variable", "unit", "origin", "time", "last", "value", "hours_ahead", "horizon", "patient")


@dataclass(frozen=True)
class Evaluation:
    """Forecasts of a model and of baselines for the same pairs of origin and measurement.

    Attributes
    ----------
    scores : Scores
        Its `pairs` hold patient, forecaster, variable, unit, horizon, origin and time (min), hours_ahead, last (the
        value known at the origin) and value.
    origins : pandas.DataFrame
        One row per patient and origin: method, khat, failed_solves (share of draws) and failed (no twin was fitted).
    """

    scores: Scores
    origins: pd.DataFrame

    def per_patient(self, *, ci_prob: float = 0.9) -> pd.DataFrame:
        """Return every patient's figures, by forecaster, variable, horizon and patient; columns as `Scores.summary`."""
        judged = self.scores.table(ci_prob=ci_prob)
        return summarize(judged[judged["horizon"] != ""], (*_KEYS, "patient"))

    def summary(self, *, ci_prob: float = 0.9) -> pd.DataFrame:
        """Return means over patients of the patients' figures, so that a long stay counts no more than a short one.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.

        Returns
        -------
        frame : pandas.DataFrame
            One row per forecaster, variable and horizon: patients, pairs, coverage, width, interval_score, crps, bias,
            mean_absolute_error, median_absolute_percentage_error, lowest_coverage (among patients with at least 20
            pairs).
        """
        each = self.per_patient(ci_prob=ci_prob)
        grouped = each.groupby(list(_KEYS), sort=False)
        found = grouped.mean(numeric_only=True)
        found["pairs"] = grouped["pairs"].sum()
        found.insert(0, "patients", grouped.size())
        many = each[each["pairs"] >= 20].groupby(list(_KEYS), sort=False)
        return found.assign(lowest_coverage=many["coverage"].min()).reset_index()

    def pooled(self, *, ci_prob: float = 0.9) -> pd.DataFrame:
        """Return means over all pairs of all patients; columns as `Scores.summary`."""
        judged = self.scores.table(ci_prob=ci_prob)
        return summarize(judged[judged["horizon"] != ""], _KEYS)

    def _repr_html_(self) -> str:
        frame = self.summary()
        rows = [tuple(row) for row in frame.itertuples(index=False)]
        return section("Evaluation", table("Means over patients of the patients' figures.", tuple(frame.columns), rows))


@in_double_precision
def evaluate(
    model: AbstractModel | Sequence[AbstractModel],
    records: Record | Sequence[Record] | Mapping[str, Record],
    *,
    key,
    horizon: float | str = "2.5 h",
    first: float | str | Sequence[float | str] = "0 h",
    following: int | None = None,
    horizons: Sequence[tuple[float, float]] = HORIZONS,
    method: AbstractMethod | None = None,
    rolling: Filter | None = None,
    observations: Mapping[str, Observation] | None = None,
    population: Personal | Sequence[Personal | None] | None = None,
    without: Sequence[str] = (),
    progress: Callable[[str, float], None] | None = None,
) -> Evaluation:
    """Forecast whenever a measurement became known, and compare with what came and with simple forecasters.

    Origins are the times at which a measurement became known: that of a laboratory when its result was stored. At each
    the twin is fitted to ``record.until(origin)``, and the simple forecasters too know only that. Forecast is what was
    taken after the origin, whenever it became known. Treatments within the forecast window are taken as they really
    were; nothing else that was known after the origin is used, and nothing at all from after the window.

    Parameters
    ----------
    model : AbstractModel, or one per record
        One per record where, for example, priors were learned on the other patients.
    records : Record, or a sequence or mapping of them
        A mapping names the patients.
    key : jax PRNG key
    horizon : float or str, min
        How far ahead measurements are forecast.
    first : float or str, or one per record, min
        Origins before this time after the record's start are left out.
    following : int, optional
        Forecast only so many next measurements of each variable, for example 1; all within the horizon by default.
    horizons : sequence of (float, float)
        Classes of hours ahead, lower bound included, in which figures are reported.
    method : Laplace or NUTS, optional
        As for `fit`.
    rolling : Filter, optional
        Fit at a patient's first origin only and roll on with `update`: an origin of a long stay costs as much as one of
        a short stay. By default the twin is fitted anew at every origin.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    population : Population, or one per record, optional
        What other patients taught, in place of the model's declared priors; one per record where each was learned
        without that record's patient.
    without : sequence of str, optional
        Inputs whose contribution is measured: the same model is fitted and forecasts as if they had never been given
        (a setting it cannot do without is held as it was at the origin), a forecaster "twin without <inputs>". Where it
        is as good as the twin, the twin's skill is no knowledge of their effect.
    progress : function of (stage, fraction), optional
        Called at every origin.

    Returns
    -------
    Evaluation
        Forecasters: "twin"; "recalibrated twin", moved as `recalibrate` does by what other persons' forecasts taught
        and by the patient's own of values known at the origin; "twin and regression", the average of its quantiles and
        the regression's with the weights that served other persons best (a forecaster, no ground for a dose); "prior",
        the model's prior with the patient's treatments and no measurement; and the rivals. "persistence" is the last
        value; "linear trend" goes through the last two; "other patients" moves the last value as values of the others
        moved within the same horizon class, "smoothed" an exponentially smoothed value, "smoothed above <input>" what
        that leaves above an input in the output's unit; "linear on smoothed" is a line with the others' residuals;
        "regression" a Student-t regression in logarithms on the last value, the hours ahead, the inputs' rates and the
        patient's own variability. What is learned is learned on other persons (`record.person`; each record is one
        where that is empty), each weighted alike.

    Raises
    ------
    ValueError
        If there is no pair to forecast, `without` names no input of the model, there is neither one model (`first`,
        `population`) nor one per record, or a population was learned for another model.
    """
    require_key(key)
    require_kinds(method=(method, Sampler, None), rolling=(rolling, Filter, None))
    require_each("observations", observations, Observation)
    ahead = require_spacing("Argument `horizon`", horizon)
    if following is not None:
        require_count("following", following, 1, 1_000_000)
    patients = _named(records)
    models, begins, taught = _by_patient(patients, model, first, population)
    _require_inputs(models[0], without)
    own: dict[str, list[np.ndarray]] = {}
    frames, origins = [], []
    report = progress or (lambda stage, fraction: None)
    for number, ((name, record), one) in enumerate(zip(patients.items(), models, strict=True)):
        pairs = pairs_ahead(one, record, ahead, begins[number], following, horizons)
        if pairs.empty:
            continue
        how: Mapping[str, Observation] | None = observations
        if taught[number] is not None:
            one, how = taught[number].personalize(one, record, observations)
        members, figures = followed(
            one, record, pairs, (method, rolling, how), key=jax.random.fold_in(key, number), without=without,
            report=report, place=(number, len(patients)),
        )  # fmt: skip
        person = record.person or f"patient {name}"
        frames.append(pairs.join(features(one, record, pairs)).assign(patient=name, person=person))
        origins.append(figures.assign(patient=name))
        for forecaster, drawn in members.items():
            own.setdefault(forecaster, []).extend(drawn)
    if not frames:
        raise ValueError(
            "No measurement follows another within the horizon: lengthen `horizon`, or move `first` forward."
        )
    every = pd.concat(frames, ignore_index=True)
    return Evaluation(together(every, own), pd.concat(origins, ignore_index=True))


def _by_patient(patients: dict[Any, Record], model, first, population) -> tuple[list[Any], list[float], list[Any]]:
    """Return model, first origin (min) and population of each patient."""
    require_each("records", patients, Record)
    models = _one_each("model", model if isinstance(model, Sequence) else [model], patients)
    require_each("model", models, AbstractModel)
    begins = _one_each("first", [first] if isinstance(first, str | float | int) else first, patients)
    taught = _one_each("population", population if isinstance(population, Sequence) else [population], patients)
    for each in taught:
        require_kinds(population=(each, Personal, None))
    return models, [minutes(time) for time in begins], taught


def _require_inputs(model: AbstractModel, without: Sequence[str]) -> None:
    known = model.quantities(model.Input)
    for name in without:
        if name not in known:
            raise ValueError(
                f"Argument `without`: model `{type(model).__name__}` has no input `{name}`; {nearest(name, known)}"
            )


def _named(records) -> dict[Any, Record]:
    if isinstance(records, Record) or not hasattr(records, "__iter__"):
        return {0: records}
    return dict(records) if isinstance(records, Mapping) else dict(enumerate(records))


def _one_each(what: str, given_, patients) -> list[Any]:
    found = list(given_)
    if len(found) not in (1, len(patients)):
        raise ValueError(
            f"Argument `{what}` must be one, or one per record, but there are {len(found)} for {len(patients)} records."
        )
    return found * len(patients) if len(found) == 1 else found


def pairs_ahead(
    model: AbstractModel, record: Record, horizon: float, first: float, following: int | None, horizons, origins=None
) -> pd.DataFrame:
    """Return every pair of origin and later measurement, sorted by origin, in the model's units.

    Origins (origin,) min are the times at which a measurement became known, where no others are given.
    """
    outputs = model.quantities(model.Output)
    known = {name: series for name, series in record.observations.items() if name in outputs}
    if origins is None:
        origins = np.unique(np.concatenate([series.known for series in known.values()])) if known else np.zeros(0)
    rows = []
    for origin in origins[origins >= record.start + first]:
        for name, series in known.items():
            unit = outputs[name].unit
            values = np.asarray(convert(series.values, series.unit, unit, variable=name), float)
            heard = np.flatnonzero(series.known <= origin)[-2:]
            last = values[heard[-1]] if len(heard) else np.nan
            slope = np.diff(values[heard])[0] / np.diff(series.times[heard])[0] if len(heard) > 1 else 0.0
            now = int(np.searchsorted(series.times, origin, side="right"))
            until = int(np.searchsorted(series.times, origin + horizon, side="right"))
            for i in range(now, until if following is None else min(until, now + following)):
                if series.limits[i] == 0:
                    trend = last + slope * (series.times[i] - series.times[heard[-1]]) if len(heard) else np.nan
                    rows.append((name, unit, origin, series.times[i], series.known[i], last, trend, values[i]))
    pairs = pd.DataFrame(rows, columns=["variable", "unit", "origin", "time", "known", "last", "trend", "value"])
    ahead = (pairs["time"] - pairs["origin"]).to_numpy(float) / 60.0
    label = np.full(len(pairs), "", object)
    for low, high in horizons:
        label[(ahead >= low) & (ahead < high)] = f"{low:g}–{high:g} h"
    changed = changes(model, record.inputs, pairs["origin"].to_numpy(float), pairs["time"].to_numpy(float))
    return pairs.assign(hours_ahead=ahead, horizon=label, changed=changed)


# ---- the twin --------------------------------------------------------------------------------------------------------


def followed(
    model: AbstractModel, record: Record, pairs: pd.DataFrame, how, *, key, without: Sequence[str] = (), report, place
) -> tuple[dict[str, list[np.ndarray]], pd.DataFrame]:
    """Return the draws of each pair of one record by the twin's kinds of forecaster, and a row of figures per origin.

    `how` is method, rolling and observations; `place` the record's number and how many there are, for `report`.
    """
    fit_key, prior_key = jax.random.split(key)
    members, figures = _twin_members(model, record, pairs, how, fit_key, report, place)
    found = {"twin": members, "prior": _prior_members(model, record, pairs, how[2], prior_key)}
    if without:
        stripped = untreated(model, record, without)
        rest, _ = _twin_members(model, stripped, pairs, how, fit_key, report, place, without)
        found[f"twin without {' and '.join(without)}"] = rest
    return found, figures


def _twins(model: AbstractModel, record: Record, origins, how, key) -> Iterator[tuple[Twin | None, Any]]:
    """Return the twin at each origin, or None where it could not be fitted, with the key of its forecast."""
    method, rolling, observations = how
    twin: Twin | None = None
    for number, origin in enumerate(origins):
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, number))
        try:
            if rolling is None or twin is None:
                twin = fit(model, record.until(origin), key=fit_key, method=method, observations=observations)
            else:
                twin = update(twin, record.between(twin.now, origin), key=fit_key, method=rolling)
        except RuntimeError:
            twin = None
        yield twin, ahead_key


def _twin_members(
    model, record: Record, pairs: pd.DataFrame, how, key, report, place, still: Sequence[str] = ()
) -> tuple[list[np.ndarray], pd.DataFrame]:
    """Return the draws for each pair, and one row of figures per origin; inputs `still` stay as at the origin."""
    members: list[np.ndarray] = [np.full(1, np.nan)] * len(pairs)
    figures = []
    origins = np.unique(pairs["origin"])
    for done, (origin, (twin, ahead_key)) in enumerate(
        zip(origins, _twins(model, record, origins, how, key), strict=True)
    ):
        report("forecast", (place[0] + done / len(origins)) / place[1])
        if twin is None:
            figures.append((origin, "", np.nan, np.nan, True))
            continue
        rows = np.flatnonzero(pairs["origin"] == origin)
        times = np.unique(pairs["time"].to_numpy()[rows])
        plan = held(given(model, record, twin.now, times[-1]), still, origin)
        ahead = forecast(twin, key=ahead_key, times=times, inputs=plan)
        for row in rows:
            draws = ahead.tree["predictions"][pairs["variable"].iloc[row]]
            members[row] = draws.values[..., np.searchsorted(times, pairs["time"].iloc[row])].ravel()
        told = twin.provenance
        khat = np.nan if told["method"] == "Filter" else told["khat"]
        figures.append((origin, told["method"], khat, ahead.solves_failed / twin.draws, False))
    return members, pd.DataFrame(figures, columns=["origin", "method", "khat", "failed_solves", "failed"])


def given(model: AbstractModel, record: Record, since: float, until: float) -> Inputs:
    """Return the inputs of the model that were really given from one time to another (min), also if charted later.

    Infusions running at the end run on; what had been given before and no longer runs is 0 from `since` on.
    """
    courses: dict[str, Course] = {}
    for name in model.quantities(model.Input):
        if name not in record.inputs:
            continue
        begun = replace(record.inputs[name], known=record.inputs[name].starts).until(until)
        later = begun.after(since)
        if begun.starts.size and not (later.starts.size or later.setting):
            begin, end, none = (np.array([x]) for x in (since, np.inf, 0.0))
            later = Course(begin, end, none, begun.unit, np.zeros(1, bool))
        if later.starts.size:
            courses[name] = later
    return Inputs(courses)


# ---- baselines -------------------------------------------------------------------------------------------------------


def _prior_members(model: AbstractModel, record: Record, pairs: pd.DataFrame, observations, key) -> list[np.ndarray]:
    """Draw measurements at all times from the prior; what is done after a time cannot move the outputs before it."""
    record = simulable(model, record)
    density = joint(model, record, observations=observations)
    draws = {name: np.asarray(values) for name, values in _prior_measurements(density, key).items()}
    place = [
        np.searchsorted(record.observations[v].times, t) for v, t in zip(pairs["variable"], pairs["time"], strict=True)
    ]
    return [draws[variable][:, i] for variable, i in zip(pairs["variable"], place, strict=True)]


@compiled
def _prior_measurements(density, key):
    def one(key):
        position_key, *keys = jax.random.split(key, 1 + len(density.data))
        values = density.constrain(density.draw_prior(position_key))
        means, solved = density.means(values)
        solved &= density.within_reach({name: means[name] for name in density.data})
        measured = density.measured(means, values)
        return {
            name: jax.numpy.where(solved, noisy.sample(k), np.nan)
            for (name, noisy), k in zip(measured.items(), keys, strict=True)
        }

    return jax.lax.map(one, jax.random.split(key, _PRIOR_DRAWS), batch_size=100)


def together(pairs: pd.DataFrame, own: Mapping[str, list[np.ndarray]]) -> Scores:
    """Join the forecasts of the twin's kind and of all rivals for the same pairs."""
    alone = {name: Forecasts(members, [None] * len(pairs)) for name, members in own.items()}
    simple, moved = rivals(pairs), recalibrated(pairs, own["twin"])
    stack = stacked(pairs, moved, simple["regression"])
    every = {**alone, "recalibrated twin": moved, "twin and regression": stack, **simple}
    known = pairs[[name for name in pairs.columns if name in _COLUMNS]]
    frame = pd.concat([known.assign(forecaster=name) for name in every], ignore_index=True)
    members = [m for found in every.values() for m in found.members]
    weights = [w for found in every.values() for w in found.weights]
    columns = {str(name): frame[name].to_numpy() for name in frame.columns if name != "value"}
    return of_draws(frame["value"].to_numpy(), members, weights=weights, **columns)
