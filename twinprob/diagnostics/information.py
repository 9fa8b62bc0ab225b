"""What measurements, made or planned, say about the unknowns to first order: sensitivities, Fisher information."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..display import section, table
from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..inference.joint import Joint, joint
from ..inference.linearize import best_position, carry, center_of, linearize, position_of, prior_moments, subject_of
from ..inference.twin import Twin
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.require import require_kinds
from ..patient.series import Series
from ..patient.units import minutes

_NOTHING = 1e-12


@dataclass(frozen=True)
class Information:
    """The first-order answer to what measurements say, at one point of the unknowns.

    Unknowns are on the unconstrained scale: the logarithm where a parameter is positive, so that a standard error of
    0.1 is about 10 %.

    Attributes
    ----------
    names : (unknown,) tuple of str
        `insulin_sensitivity_innovations[3]` is the third step of a path.
    groups : mapping of str to (unknown,) bool
        Which unknowns make up a parameter: one, or a path with its base.
    position : (unknown,)
        Where the model was linearized.
    variables, times : (measurement,) str, min
    sensitivity : (measurement, unknown)
        Change of the noise-free output by unknown, over the noise's standard deviation.
    roots : (row, unknown), owners : (row,) int
        Fisher information is ``roots.T @ roots``; each row belongs to a measurement.
    prior_variance : (unknown,)
    parameters : mapping of str to (knot, unknown)
        Gradient of each parameter (of each knot of its path) on the unconstrained scale.
    outlook : mapping of str to (horizon, unknown)
        Gradient of each future output (of its logarithm where positive) by horizon.
    horizons : (horizon,) min
        Times of the outlook.
    solved : bool
        False where the model could not be solved at the point; the numbers are then meaningless.
    """

    names: tuple[str, ...]
    groups: Mapping[str, np.ndarray]
    position: np.ndarray
    variables: np.ndarray
    times: np.ndarray
    sensitivity: np.ndarray
    roots: np.ndarray
    owners: np.ndarray
    prior_variance: np.ndarray
    parameters: Mapping[str, np.ndarray]
    outlook: Mapping[str, np.ndarray]
    horizons: np.ndarray
    solved: bool

    @cached_property
    def matrix(self) -> np.ndarray:
        """Expected Fisher information of the measurements alone, (unknown, unknown)."""
        return self.roots.T @ self.roots

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the unknowns by measurements and prior together, (unknown, unknown)."""
        scale = np.sqrt(self.prior_variance)
        inner = np.linalg.inv(np.eye(len(scale)) + scale[:, None] * self.matrix * scale)
        return scale[:, None] * 0.5 * (inner + inner.T) * scale

    def until(self, time: float | str) -> "Information":
        """Return what the measurements up to a time (min) say, at the same point."""
        kept = self.times <= minutes(time)
        places = np.cumsum(kept) - 1
        rows = kept[self.owners]
        return dataclasses.replace(
            self, variables=self.variables[kept], times=self.times[kept], sensitivity=self.sensitivity[kept],
            roots=self.roots[rows], owners=places[self.owners[rows]],
        )  # fmt: skip

    def standard_errors(self, *, prior: bool = True) -> dict[str, np.ndarray]:
        """Return the standard error of each parameter on the unconstrained scale, (knot,) by name.

        Parameters
        ----------
        prior : bool
            With the priors of the parameters, or by the measurements alone: infinite where these say nothing. A path
            keeps its process either way, since it is part of the model.
        """
        if prior:
            return {n: np.sqrt(np.einsum("ki,ij,kj->k", g, self.covariance, g)) for n, g in self.parameters.items()}
        return {name: self._alone(gradient) for name, gradient in self.parameters.items()}

    def alone(self, name: str) -> float:
        """Return the contraction of a constant unknown by the measurements alone: no constant keeps its prior.

        Parameters
        ----------
        name : str
            One of `names`.
        """
        place = self.names.index(name)
        error = float(self._alone(np.eye(len(self.names))[[place]])[0])
        return float(self.prior_variance[place] / (self.prior_variance[place] + error**2))

    def _alone(self, gradient: np.ndarray) -> np.ndarray:
        """Return the standard error of combinations (row, unknown) without the priors of constants."""
        scale = np.sqrt(self.prior_variance)
        values, vectors = self._alone_spectrum
        known = values > 1e-10 * max(float(values[-1]), 1.0)
        parts = (gradient * scale) @ vectors
        lost = np.sum(parts[:, ~known] ** 2, axis=1) > 1e-8 * np.sum(parts**2, axis=1)
        return np.where(lost, np.inf, np.sqrt(np.sum(parts[:, known] ** 2 / values[known], axis=1)))

    @cached_property
    def _alone_spectrum(self):
        scale = np.sqrt(self.prior_variance)
        return np.linalg.eigh(scale[:, None] * self.matrix * scale + np.diag(self._innovations.astype(float)))

    @property
    def _innovations(self) -> np.ndarray:
        return np.array(["_innovations[" in name for name in self.names])

    def contraction(self) -> dict[str, np.ndarray]:
        """Return 1 - posterior variance / prior variance of each parameter to first order, (knot,) by name."""
        return {name: self._contraction(gradient) for name, gradient in self.parameters.items()}

    def predictions(self) -> dict[str, np.ndarray]:
        """Return the same contraction of each future output, (horizon,) by name."""
        return {name: self._contraction(gradient) for name, gradient in self.outlook.items()}

    def _contraction(self, gradient) -> np.ndarray:
        before = np.sum(gradient**2 * self.prior_variance, axis=1)
        after = np.einsum("ki,ij,kj->k", gradient, self.covariance, gradient)
        return 1.0 - after / np.maximum(before, _NOTHING * np.max(before, initial=1e-300))

    def over_time(self, times) -> dict[str, np.ndarray]:
        """Return the contraction of every parameter by the measurements up to each time, (time,) by name.

        Parameters
        ----------
        times : (time,) min
            A path is judged by the median over the knots.
        """
        parts = [self.until(float(time)).contraction() for time in times]
        return {name: np.array([np.median(part[name]) for part in parts]) for name in self.parameters}

    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what the measurements say along independent directions, best determined first.

        Returns
        -------
        eigenvalues : (unknown,)
            Information of the measurements over that of the prior: at 1 both weigh the same, and the contraction along
            a direction is eigenvalue / (1 + eigenvalue). Their fall over decades is called sloppiness.
        directions : (unknown, unknown)
            Each row is one direction, in prior standard deviations.
        """
        scale = np.sqrt(self.prior_variance)
        values, vectors = np.linalg.eigh(scale[:, None] * self.matrix * scale)
        return np.clip(values[::-1], 0.0, None), vectors.T[::-1]

    def collinearity(self, *names: str) -> float:
        """Return the collinearity index of parameters: how far a change of one can be undone by the others.

        Parameters
        ----------
        *names : str
            Two or more parameters that do not vary in time.

        Returns
        -------
        index : float
            1 where the outputs tell the parameters apart, infinite where they cannot; Brun takes 10 to 15 as critical.

        Raises
        ------
        ValueError
            If a name is none of the parameters, or one that varies.

        References
        ----------
        .. [1] Brun R, Reichert P, Künsch HR. Practical identifiability analysis of large environmental simulation
           models. Water Resour Res 2001;37:1015-1030. doi:10.1029/2000WR900350, equation 13.
        """
        columns = []
        for name in names:
            chosen = self._group(name)
            if np.sum(chosen) != 1:
                raise ValueError(f"Parameter `{name}` varies in time: ask `confounding`, which takes a whole path.")
            columns.append(self.sensitivity[:, chosen][:, 0])
        lengths = np.linalg.norm(columns, axis=1)
        if np.any(lengths < _NOTHING):
            return math.inf
        unit = np.array(columns) / lengths[:, None]
        values = np.linalg.eigvalsh(unit @ unit.T)
        return 1.0 / math.sqrt(values[0]) if values[0] > 1e-14 else math.inf

    def confounding(self, name: str, other: str) -> float:
        """Return the share of what is said about a parameter that another one could equally explain, 0 to 1.

        Parameters
        ----------
        name : str
            A parameter, or one that varies: then its base.
        other : str
            The parameter, or the whole path, that is allowed to move within its prior; all the rest is held.

        Returns
        -------
        share : float
            At 0.9 not knowing the other multiplies the standard error by 1 / sqrt(1 - 0.9), about three.
        """
        mine, theirs = self._group(name), self._group(other)
        scale = np.sqrt(self.prior_variance)
        direction = np.sum(self.parameters[name], axis=0) * mine * self.prior_variance
        signal = self.roots @ direction
        total = float(signal @ signal)
        if total < _NOTHING:
            return 0.0
        columns = self.roots[:, theirs] * scale[theirs]
        left = np.linalg.solve(np.eye(len(signal)) + columns @ columns.T, signal)
        return float(np.clip(1.0 - signal @ left / total, 0.0, 1.0))

    def _group(self, name: str) -> np.ndarray:
        if name not in self.groups:
            raise ValueError(f"There is no unknown parameter `{name}`; {nearest(name, self.groups)}")
        return self.groups[name]

    def _repr_html_(self) -> str:
        alone, both, kept = self.standard_errors(prior=False), self.standard_errors(), self.contraction()
        rows = [
            (name, float(np.median(alone[name])), float(np.median(both[name])), float(np.median(kept[name])))
            for name in self.parameters
        ]
        header = ("parameter", "standard error, data alone", "with the prior", "contraction")
        about = f"{len(self.times)} measurements; unconstrained scale; of a path, the median over its knots."
        return section("Fisher information", table(about, header, rows))


@in_double_precision
def information(
    subject: Twin | AbstractModel,
    record: Record | None = None,
    *,
    at: Mapping[str, float] | None = None,
    planned: Mapping[str, Any] | None = None,
    horizons=(),
    inputs: Inputs | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
) -> Information:
    """Linearize a twin, or a model of a record, and return what its measurements say about the unknowns.

    Parameters
    ----------
    subject : Twin or AbstractModel
    record : Record, optional
        Needed for a model; a twin has its own.
    at : mapping of str to float, optional
        Values of unknowns at which to linearize, paths flat at the given value, the others at the model's. By default
        the posterior mean of a twin, the mode for a model and its measurements, the model's values without any.
    planned : mapping of str to (time,) min, optional
        Outputs and times of measurements not yet made; what will be read does not matter.
    horizons : (time,) min, optional
        Times, after everything measured or planned, at which outputs are asked for.
    inputs : Inputs, optional
        What will be done after the record's end; infusions run on as they are by default.
    observations, integrator
        As for `fit`; a twin has its own.

    Returns
    -------
    Information

    Raises
    ------
    ValueError
        If there is neither a measurement nor a planned one, a record is missing or given twice, or the model has no
        such output or parameter.
    RuntimeError
        If the model cannot be solved near its priors.
    """
    require_kinds(inputs=(inputs, Inputs, None))
    model, record, observations, integrator, past = subject_of(subject, record, observations, integrator)
    whole = prolonged(model, record, planned or {}, horizons, inputs)
    design = joint(model, whole, observations=observations, integrator=integrator, times=horizons, past=past)
    if at is not None:
        position = position_of(design, at)
    elif isinstance(subject, Twin) and "unconstrained" in subject.tree.children:
        seen = joint(model, record, observations=observations, integrator=integrator, past=past)
        position = carry(seen, design, center_of(subject))
    elif any(name in record.observations for name in model.quantities(model.Output)):
        seen = joint(model, record, observations=observations, integrator=integrator, past=past)
        position = carry(seen, design, best_position(seen))
    else:
        position = position_of(design, {})
    return _joined(design, position, whole, np.asarray(horizons, float))


def prolonged(model: AbstractModel, record: Record, planned, horizons, inputs: Inputs | None) -> Record:
    """Return the record with its planned measurements and its future inputs, known until the last horizon.

    Raises
    ------
    ValueError
        If it then holds no measurement of any output.
    """
    outputs = model.quantities(model.Output)
    series = dict(record.observations)
    for name, times in planned.items():
        if name not in outputs:
            raise ValueError(f"Model `{type(model).__name__}` has no output `{name}`; {nearest(name, outputs)}")
        new = np.atleast_1d(np.asarray(times, float))
        old = series.get(name, Series(np.zeros(0), np.zeros(0), outputs[name].unit))
        new = np.setdiff1d(new, old.times)
        order = np.argsort(np.append(old.times, new), kind="stable")
        limits = np.append(old.limits, np.zeros(len(new), np.int8))
        series[name] = Series(
            np.append(old.times, new)[order], np.append(old.values, np.ones(len(new)))[order], old.unit, limits[order]
        )
    if not any(name in series and series[name].times.size for name in outputs):
        raise ValueError(
            f"The design holds no observation of model `{type(model).__name__}`, so it says nothing; plan one, e.g. "
            f'`planned={{"{next(iter(outputs))}": [60.0, 120.0]}}`.'
        )
    times = [float(s.times[-1]) for s in series.values() if s.times.size]
    first = [float(s.times[0]) for s in series.values() if s.times.size]
    end = max([record.end, *times, *map(float, horizons)])
    given = record.inputs.then(inputs, record.end) if inputs is not None else record.inputs
    return dataclasses.replace(record, observations=series, inputs=given, start=min([record.start, *first]), end=end)


def _joined(design: Joint, position: np.ndarray, record: Record, horizons: np.ndarray) -> Information:
    """Put the slopes of all outputs into one table of measurements by unknowns."""
    linear = linearize(design, position, horizons)
    variables: list[str] = []
    times: list[float] = []
    owners: list[int] = []
    sensitivity, roots = [], []
    for name, slopes in linear.slopes.items():
        for time, slope, weight in zip(record.observations[name].times, slopes, linear.weights[name], strict=True):
            values, vectors = np.linalg.eigh(weight)
            values = np.clip(values, 0.0, None)
            roots.append(np.sqrt(values)[:, None] * vectors.T @ slope)
            owners += [len(times)] * len(values)
            sensitivity.append(math.sqrt(max(weight[0, 0], 0.0)) * slope[0])
            variables.append(name)
            times.append(float(time))
    names, groups, layout = [""] * design.size, {}, design.layout()
    varying = design.model.processes()
    for site, place in layout.items():
        count = place.stop - place.start
        names[place] = (
            [site] if count == 1 and not site.endswith("_innovations") else [f"{site}[{i}]" for i in range(count)]
        )
    for name in linear.parameters:
        groups[name] = np.zeros(design.size, bool)
        for site in (f"{name}_start", f"{name}_innovations") if name in varying else (name,):
            groups[name][layout[site]] = True
    return Information(
        tuple(names), groups, position, np.array(variables), np.array(times), np.array(sensitivity),
        np.concatenate(roots), np.array(owners), prior_moments(design)[1], linear.parameters, linear.outlook, horizons,
        linear.solved,
    )  # fmt: skip
