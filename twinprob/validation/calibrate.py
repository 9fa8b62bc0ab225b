"""Simulation-based calibration: is a method right about patients whose truth is known because they were simulated."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from ..display import section, table
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..dynamics.segments import knots
from ..forecasting.forecast import forecast
from ..inference.joint import Joint, joint
from ..inference.methods.laplace import Laplace
from ..inference.methods.sampled import AbstractMethod, Sampler, generator
from ..inference.twin import Twin
from ..labels import Labelled, dataset, tree
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_count, require_key, require_kinds
from ..patient.series import Series
from .uniformity import stray

_NULL_SAMPLES = 4000
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Calibration:
    """Where simulated truths fall among the draws of their posteriors.

    Attributes
    ----------
    tree : xarray.DataTree
        `prior_sbc`: probability integral transforms, one per replicate along `draw`, uniform if the method is right;
        the group that ArviZ plots (`arviz_plots.plot_ecdf_pit`). `ranks`: the ranks behind them, 0 to the number of
        draws used. `truth`: the simulated values. `estimate`: quantiles of the draws of each.
    p_values : pandas.Series
        By quantity: the probability that uniform values would stray as far from uniformity.
    judged : pandas.DataFrame
        One row per replicate: khat, effective_draws, failed.
    draws : int
        Posterior draws that each truth was ranked among.
    redrawn : int
        Prior draws that could not be solved and were replaced.
    """

    tree: xr.DataTree
    p_values: pd.Series
    judged: pd.DataFrame
    draws: int
    redrawn: int

    def coverage(self, ci_prob: float) -> pd.Series:
        """Return the share of truths inside their equal-tailed credible interval, by quantity."""
        group = self.tree["prior_sbc"].to_dataset()
        inside = {str(n): np.mean(np.abs(v.values - 0.5) <= ci_prob / 2) for n, v in group.data_vars.items()}
        return pd.Series(inside, name=f"coverage_{100 * ci_prob:g}")

    def summary(self, *, ci_prob: float = 0.99) -> pd.DataFrame:
        """Return the findings by quantity.

        Parameters
        ----------
        ci_prob : float
            Simultaneous probability of the envelope of the rank ECDF, for each quantity.

        Returns
        -------
        frame : pandas.DataFrame
            Columns coverage_50, coverage_90, p_value and inside (the ECDF stays in its envelope).
        """
        frame = pd.DataFrame([self.coverage(0.5), self.coverage(0.9)]).T
        return frame.assign(p_value=self.p_values, inside=self.p_values > 1 - ci_prob)

    def calibrated(self, *, ci_prob: float = 0.99) -> bool:
        """Tell whether all quantities together pass, their number allowed for (Bonferroni)."""
        return bool(self.p_values.min() * len(self.p_values) > 1 - ci_prob)

    def _repr_html_(self) -> str:
        frame = self.summary().reset_index()
        rows = [tuple(row) for row in frame.itertuples(index=False)]
        about = (
            f"{len(self.judged)} replicates, ranks among {self.draws} draws; {int(self.judged['failed'].sum())} failed."
        )
        return section("Calibration", table(about, ("quantity", *frame.columns[1:]), rows))


@in_double_precision
def calibrate(
    model: AbstractModel,
    *,
    record_like: Record,
    key,
    replicates: int = 200,
    method: AbstractMethod | None = None,
    twin_of: Callable[[Record, Any], Twin] | None = None,
    hours: Sequence[float] = (1.0, 2.0, 4.0),
    draws: int = 99,
    observations: dict[str, Observation] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Calibration:
    """Calibrate a method by simulation: draw a patient from the prior, simulate measurements, fit, rank the truth.

    Parameters
    ----------
    model : AbstractModel
    record_like : Record
        The design: its times, inputs and covariates are kept, its values are replaced by simulated ones.
    key : jax PRNG key
    replicates : int
        Simulated patients.
    method : Laplace, NUTS or another method, optional
        `Laplace()` by default; all replicates share one compiled program.
    twin_of : function of (record, key), optional
        Makes the twin of a simulated record, in place of `method`: calibrates a whole way through `fit`, `update` and
        `forecast`. Of varying parameters only the present value is then ranked.
    hours : sequence of float
        Hours after the record's end at which a measurement is forecast and ranked as well; may be empty.
    draws : int
        Posterior draws to rank among, evenly thinned; keep it below the effective number.
    observations : dict of str to Observation, optional
        How outputs are measured, where not as the model declares.
    progress : function of (stage, fraction), optional
        Called after every replicate.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If the record holds none of the model's outputs.
    RuntimeError
        If hardly any prior draw can be solved.

    References
    ----------
    .. [1] Talts S et al. Validating Bayesian inference algorithms with simulation-based calibration. 2018,
       doi:10.48550/arXiv.1804.06788.
    .. [2] Säilynoja T, Bürkner P-C, Vehtari A. Graphical test for discrete uniformity and its applications in
       goodness-of-fit evaluation and multiple sample comparison. Stat Comput 2022;32:32,
       doi:10.1007/s11222-022-10090-6.
    """
    require_key(key)
    require_kinds(method=(method, Sampler, None), record_like=(record_like, Record))
    require_count("replicates", replicates, 1, 100_000)
    require_count("draws", draws, 1, 100_000)
    density = _compact(joint(model, record_like, observations=observations))
    if not density.data:
        raise ValueError(
            "Argument `record_like` holds no measurement of the model's outputs; it has to state the design."
        )
    beyond = _compact(joint(model, _extended(model, record_like, hours), observations=observations))
    design = Design(density, beyond, _reported(density, record_like), tuple(float(h) for h in hours))
    truth_key, fit_key, tie_key, null_key = jax.random.split(key, 4)
    truths, simulated, redrawn = _simulated(design, replicates, truth_key)
    method = Laplace() if method is None else method
    ranks: dict[str, list[float]] = {name: [] for name in truths}
    estimates: dict[str, list[np.ndarray]] = {name: [] for name in truths}
    judged, chance = [], generator(tie_key)
    for i in range(replicates):
        data = {name: np.asarray(values[i]) for name, values in simulated.items()}
        one_key, ahead_key = jax.random.split(jax.random.fold_in(fit_key, i))
        try:
            if twin_of is None:
                found, figures = _sampled(design, method, data, draws, one_key, ahead_key)
            else:
                twin = twin_of(_record_with(design.density, record_like, data), one_key)
                found, figures = _told(twin, design.hours, draws, ahead_key)
        except RuntimeError:
            judged.append((np.nan, 0.0, True))
            continue
        for name in found.keys() & truths.keys():
            ranks[name].append(_rank(truths[name][i], np.asarray(found[name]), chance))
            estimates[name].append(np.nanquantile(np.asarray(found[name]), _LEVELS))
        judged.append((*figures, False))
        if progress:
            progress("replicates", (i + 1) / replicates)
    return _collect(ranks, estimates, truths, judged, draws, redrawn, chance, generator(null_key))


class Design(eqx.Module):
    """What all replicates share: the density fitted, a longer one that reaches into the future, what is reported."""

    density: Joint
    beyond: Joint
    reported: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = eqx.field(static=True)
    hours: tuple[float, ...] = eqx.field(static=True)


def _compact(density: Joint) -> Joint:
    """Return the same density without padding: all replicates have one design, so one shape serves them anyway.

    Where an output takes long, as a steady beat does, this is most of the time.
    """
    if any(np.ndim(x) for x in jax.tree.leaves(density.observations)):  # sizes by measurement are padded too
        return density
    data = {n: jax.tree.map(lambda x, d=d: x[: int(d.present.sum())], d) for n, d in density.data.items()}
    return dataclasses.replace(density, data=data)


def _extended(model: AbstractModel, record: Record, hours) -> Record:
    """Return the record with a place for a measurement of every output at each time ahead."""
    ahead = record.end + 60.0 * np.asarray(hours, float)
    if not np.all(np.diff(ahead) > 0) or (len(ahead) and ahead[0] <= record.end):
        raise ValueError(f"Argument `hours` must be positive and strictly increasing, but is {tuple(hours)}.")
    outputs, series = model.quantities(model.Output), dict(record.observations)
    for name in set(outputs) & set(series):
        one = series[name]
        values = np.concatenate([one.values, np.repeat(one.values[-1], len(ahead))])
        limits = np.concatenate([one.limits, np.zeros(len(ahead), one.limits.dtype)])
        series[name] = Series(np.concatenate([one.times, ahead]), values, one.unit, limits)
    return dataclasses.replace(record, observations=series, end=float(max([record.end, *ahead])))


def _reported(density: Joint, record: Record):
    """Choose first, middle and current knot of every path."""
    chosen = []
    for name, process in density.model.processes().items():
        last = knots(process, record.start, max(record.end, record.start + 1e-6)) - 1
        places = {"first": 0, "middle": last // 2, "now": last}
        chosen.append((name, tuple((label, place) for label, place in places.items())))
    return tuple(chosen)


# ---- truths and draws ------------------------------------------------------------------------------------------------


def _named(design: Design, joint_: Joint, values) -> dict[str, jax.Array]:
    """Return the ranked quantities of one draw: parameters, sizes of noise and volatility, chosen knots of paths."""
    found = {name: value for name, value in values.items() if not name.endswith("_innovations")}
    for name, places in design.reported:
        path = joint_.path(name, values)
        found |= {f"{name}_{label}": path[place] for label, place in places}
    return found


def _future(design: Design, measured) -> dict[str, jax.Array]:
    found = {}
    for name, values in measured.items():
        begin = jnp.sum(design.density.data[name].present)
        for i, h in enumerate(design.hours):
            found[f"{name}_in_{h:g}h"] = values[begin + i]
    return found


@compiled
def _truths(design: Design, keys):
    beyond = design.beyond

    def one(key):
        position_key, *noise_keys = jax.random.split(key, 1 + len(beyond.data))
        values = beyond.constrain(beyond.draw_prior(position_key))
        means, solved = beyond.means(values)
        noisy = {n: d.sample(k) for (n, d), k in zip(beyond.measured(means, values).items(), noise_keys, strict=True)}
        return {**_named(design, beyond, values), **_future(design, noisy)}, noisy, solved

    return jax.vmap(one)(keys)


@compiled
def _quantities(design: Design, positions, keys):
    """Return the ranked quantities of posterior draws; paths go on into the future as the prior says."""
    density, beyond = design.density, design.beyond

    def one(position, key):
        values = density.constrain(position)
        extended = dict(values)
        for (name, count), (_, longer) in zip(density.knots, beyond.knots, strict=True):
            key, path_key = jax.random.split(key)
            new = jax.random.normal(path_key, (longer - count,))
            extended[f"{name}_innovations"] = jnp.concatenate([values[f"{name}_innovations"], new])
        means, solved = beyond.means(extended)
        keys = jax.random.split(key, len(beyond.data))
        noisy = {n: d.sample(k) for (n, d), k in zip(beyond.measured(means, extended).items(), keys, strict=True)}
        future = jax.tree.map(lambda x: jnp.where(solved, x, jnp.nan), _future(design, noisy))
        return {**_named(design, density, values), **future}

    return jax.vmap(one)(positions, keys)


def _simulated(design: Design, replicates: int, key):
    """Draw truths until enough of them can be solved."""
    kept, redrawn = [], 0
    for turn in range(20):
        drawn = _truths(design, jax.random.split(jax.random.fold_in(key, turn), replicates))
        truths, noisy, solved = jax.tree.map(np.asarray, drawn)
        kept.append(jax.tree.map(lambda x, mask=solved: x[mask], (truths, noisy)))
        count = sum(len(next(iter(k[0].values()))) for k in kept)
        if count >= replicates:
            truths, noisy = jax.tree.map(lambda *parts: np.concatenate(parts)[:replicates], *kept)
            return truths, noisy, redrawn + int(np.sum(~solved))
        redrawn += int(np.sum(~solved))
    raise RuntimeError(
        f"Only {count} of {20 * replicates} prior draws could be solved: check priors and the inputs' units."
    )


def _sampled(design: Design, method: AbstractMethod, data, draws: int, key, ahead_key):
    """Return the ranked quantities of a method's draws, and its k-hat and effective draws."""
    sampled = method.sample(_with_data(design.density, data), key=key)
    flat = sampled.positions.reshape(-1, design.density.size)
    chosen = np.linspace(0, len(flat) - 1, draws).round().astype(int)
    found = _quantities(design, jnp.asarray(flat[chosen]), jax.random.split(ahead_key, draws))
    return found, (sampled.khat, sampled.importance_ess)


def _told(twin: Twin, hours, draws: int, key) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """Return the ranked quantities of a twin's draws, and its k-hat and effective draws."""
    chosen = np.linspace(0, twin.draws - 1, draws).round().astype(int)
    found = {}
    for name, values in twin.tree["posterior"].data_vars.items():
        flat = values.values.reshape(twin.draws, -1)[chosen, -1]
        found[f"{name}_now" if values.ndim > 2 else str(name)] = flat
    if hours:
        ahead = forecast(twin, times=twin.now + 60.0 * np.asarray(hours), key=key)
        for name, values in ahead.tree["predictions"].data_vars.items():
            later = values.values.reshape(twin.draws, -1)[chosen]
            found |= {f"{name}_in_{h:g}h": later[:, i] for i, h in enumerate(hours)}
    return found, (twin.provenance["khat"], twin.effective_draws)


def _record_with(density: Joint, record: Record, simulated: dict[str, np.ndarray]) -> Record:
    """Return the record with simulated measurements, those beyond a detection limit censored."""
    declared, series = density.model.quantities(density.model.Output), dict(record.observations)
    for name, data in _with_data(density, simulated).data.items():
        count = int(np.sum(data.present))
        series[name] = Series(
            record.observations[name].times, data.values[:count], declared[name].unit, data.limits[:count]
        )
    return dataclasses.replace(record, observations=series)


def _with_data(density: Joint, simulated: dict[str, np.ndarray]) -> Joint:
    """Return the density for simulated measurements, those beyond a detection limit censored."""
    data = {}
    for name, old in density.data.items():
        observation, count = density.observations[name], int(np.sum(old.present))
        values = np.pad(simulated[name][:count], (0, len(old.values) - count), mode="edge")
        limits = np.where(values <= observation.lower, -1, np.where(values >= observation.upper, 1, 0)).astype(np.int8)
        data[name] = dataclasses.replace(
            old,
            values=np.clip(values, observation.lower, observation.upper),
            limits=np.where(old.present, limits, 0).astype(np.int8),
        )
    return dataclasses.replace(density, data=data)


# ---- ranks -----------------------------------------------------------------------------------------------------------


def _rank(truth: float, values: np.ndarray, chance: np.random.Generator) -> float:
    """Return how many draws lie below the truth; ties, as of resampled duplicates, are broken at random."""
    known = values[np.isfinite(values)]
    ties = int(np.sum(known == truth))
    missing = len(values) - len(known)
    return float(np.sum(known < truth) + chance.integers(0, ties + 1) + chance.binomial(missing, 0.5))


def _collect(ranks, estimates, truths, judged, draws: int, redrawn: int, chance, null) -> Calibration:
    """Turn ranks into uniform values and judge them."""
    dims, levels = ("chain", "draw"), {"quantile": Labelled(("quantile",), np.array(_LEVELS))}
    ranks = {name: r for name, r in ranks.items() if r}
    uniform = {name: (np.asarray(r) + chance.uniform(size=len(r))) / (draws + 1) for name, r in ranks.items()}
    done = ~np.array([failed for _, _, failed in judged])
    groups = {
        "prior_sbc": dataset({n: Labelled(dims, u[None]) for n, u in uniform.items()}, {}, {"ranked_among": draws}),
        "ranks": dataset({n: Labelled(dims, np.asarray(r, int)[None]) for n, r in ranks.items()}, {}, {}),
        "estimate": dataset(
            {n: Labelled((*dims, "quantile"), np.asarray(estimates[n])[None]) for n in ranks}, levels, {}
        ),
        "truth": dataset({n: Labelled(dims, np.asarray(truths[n])[done][None]) for n in ranks}, {}, {}),
    }
    strays = {name: stray(u) for name, u in uniform.items()}
    reference = np.sort([stray(null.uniform(size=int(done.sum()))) for _ in range(_NULL_SAMPLES)])
    p_values = {n: (1 + np.searchsorted(reference, s, side="right")) / (1 + _NULL_SAMPLES) for n, s in strays.items()}
    frame = pd.DataFrame(judged, columns=["khat", "effective_draws", "failed"])
    return Calibration(
        tree(groups, {"inference_library": "twinprob"}), pd.Series(p_values, name="p_value"), frame, draws, redrawn
    )
