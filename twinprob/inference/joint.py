"""p(parameters, data) of one patient: the joint density, written once."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from ..dynamics.delays import arrived, lags_of
from ..dynamics.inside import landed
from ..dynamics.integrators import AbstractIntegrator, FixedStep
from ..dynamics.segments import Segments, bucket, doubled, knots, minutes_per_unit, padded, scale
from ..dynamics.simulate import crossed, outputs_at, slopes_at
from ..modeling.declarations import require_complete
from ..modeling.measured import Measured
from ..modeling.model import AbstractModel, nearest, pack
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_each, require_kinds
from ..patient.units import reach
from .data import Data, data_of, panels_of, require_noise, with_covariates
from .past import Past
from .timeline import crowded, stop_of, timeline
from .unknowns import IMPOSSIBLE, LARGEST, AbstractDensity, is_real

_MANY = 1024
SEGMENTS, _KNOTS = 192, 64  # times `scale`: how many segments, and how many knots and measurements of each kind


class Joint(AbstractDensity):
    """One patient's joint density of parameters and data; call it inside a NumPyro model to use it as a part.

    Every unknown is a NumPyro sample site: `<name>` for a parameter; for one that varies, `<name>_start`, the standard
    normal `<name>_innovations` and the deterministic path `<name>`; `<name>_volatility` and `<output>_<field>` for
    volatilities and noise sizes that have priors. Inference works on `position`, all sites concatenated on
    the unconstrained scale. Outputs of one of the `panels` are measured at the same times: they are found together.
    Where the record is the end of a longer one, its `past` says what was known when it begins: the first innovation of
    each path and those of the state then are what is left open there.
    """

    model: AbstractModel
    segments: Segments
    data: dict[str, Data]
    observations: dict[str, Observation]
    integrator: AbstractIntegrator
    knots: tuple[tuple[str, int], ...] = eqx.field(static=True)
    panels: tuple[tuple[str, ...], ...] = eqx.field(static=True, default=())
    past: Past | None = None

    @property
    def known(self) -> Past | None:
        """What earlier measurements say of the constants."""
        return self.past

    # ---- the unknowns -----------------------------------------------------------------------------------------

    def sites(self) -> dict[str, dist.Distribution]:
        """Return the prior of every unknown, by sample site."""
        priors, paths = {}, dict(self.knots)
        processes = self.model.processes()
        for name in self.model.unknowns():
            if name in processes:
                priors[f"{name}_start"] = self.model.prior(name)
                priors[f"{name}_innovations"] = dist.Normal(0.0, 1.0).expand([paths[name]]).to_event(1)
                if isinstance(processes[name].sd, dist.Distribution):
                    priors[f"{name}_volatility"] = processes[name].sd
            else:
                priors[name] = self.model.prior(name)
        for output, observation in sorted(self.observations.items()):  # the order that compiled code knows them in
            sites = observation.sites(output)
            for field, prior in observation.unknowns().items():
                priors.setdefault(sites[field], prior)
        if self.past is not None:
            count = len(self.model.quantities(self.model.State))
            priors["state_innovations"] = dist.Normal(0.0, 1.0).expand([count]).to_event(1)
        return priors

    def measurements(self) -> dict[str, Data]:  # noqa: D102
        return self.data

    def innovations(self) -> tuple[str, ...]:  # noqa: D102
        state = () if self.past is None else ("state_innovations",)
        return (*(f"{name}_innovations" for name, _ in self.knots), *state)

    def scales(self) -> dict[str, bool]:  # noqa: D102
        sites = self.sites()
        found = {f"{name}_volatility": True for name, _ in self.knots if f"{name}_volatility" in sites}
        for output, observation in self.observations.items():
            # Without paths, nothing can follow so many measurements that their noise vanishes: its size climbs too.
            few = bool(self.knots) or len(self.data[output].values) <= _MANY
            found |= {site: few or found.get(site, False) for site in observation.sites(output).values()}
        return found

    def sizes(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(
            dict.fromkeys(site for name, how in self.observations.items() for site in how.sites(name).values())
        )

    def path(self, name: str, values: Mapping[str, Any]) -> Float[Array, " knot"]:
        """Return the values of a varying parameter at its knots."""
        process = self.model.processes()[name]
        bijector = dist.biject_to(self.model.prior(name).support)
        base = bijector.inv(values[f"{name}_start"])
        sd, innovations = values.get(f"{name}_volatility", process.sd), values[f"{name}_innovations"]
        if self.past is None:
            knots_ = process.path(base, innovations, sd)
        else:
            first = self.past.begun(self.sites(), self.model.processes(), values)[0][name]
            knots_ = jnp.concatenate([first[None], process.extend(base, first, innovations[1:], sd)])
        # A path that leaves the numbers counts as impossible in `rows`; its gradient must stay finite all the same.
        return bijector(jnp.clip(knots_, -LARGEST, LARGEST) if not is_real(bijector) else knots_)

    def paths(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Return every parameter: its value, or its values at the knots where it varies."""
        processes = self.model.processes()
        return {name: self.path(name, values) if name in processes else values[name] for name in self.model.unknowns()}

    def first(self, values: Mapping[str, Any]) -> Array | None:
        """Return the state at the start of a record with a past, (state,); None where the model says it."""
        return None if self.past is None else self.past.begun(self.sites(), self.model.processes(), values)[1]

    def rows(self, parameters: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return the parameters acting in each segment, shape (segment, parameter), and whether they are possible."""
        order = tuple(name for name, _ in self.knots)
        count = self.segments.length.shape[0]
        columns = []
        for name in self.model.unknowns():
            value = parameters[name]
            columns.append(
                value[self.segments.knot[:, order.index(name)]] if name in order else jnp.broadcast_to(value, (count,))
            )
        rows = jnp.stack(columns, axis=-1) if columns else jnp.zeros((count, 0))
        fine = jnp.isfinite(rows) & (jnp.abs(rows) < IMPOSSIBLE)
        return jnp.where(fine, rows, 1.0), jnp.all(fine)

    def states(self, parameters: Mapping[str, Array], first=None) -> tuple[Array, Array, Array]:
        """Solve for the state at every border, from the model's initial state or from the state `first`.

        Returns
        -------
        states : (segment + 1, state)
        solved : () bool
        rows : (segment, parameter)
        """
        unknowns = self.model.unknowns()
        rows, possible = self.rows(parameters)
        if first is None:
            patient = self.model.install(unknowns, rows[0])
            first = pack(patient.initial(self.model.Input(*jnp.asarray(self.segments.before, float))))
        bare = dataclasses.replace(self.model, priors={}, motions={})
        begun = jnp.where(jnp.isfinite(first), first, 0.0)
        states, solved = crossed(begun, rows, self.segments, bare, self.integrator, self._lags(rows))
        return states, (solved > 0) & possible & jnp.all(jnp.isfinite(first)), rows

    def _lags(self, rows):
        """Return how long after it is given each input acts, (input,); None where all act at once."""
        if self.segments.edges is None:
            return None
        return lags_of(self.model.install(self.model.unknowns(), rows[0]))

    def outputs(self, states, rows, index, at=outputs_at, after=None):
        """Return the noise-free outputs at segment borders, or with `slopes_at` their slopes; leaves (time,).

        With `after` (time,), they are so long after the starts of segments `index`.
        """
        unknowns, index, segments = self.model.unknowns(), jnp.asarray(index), self.segments
        if segments.edges is not None:
            segments = arrived(segments, self._lags(rows))
        if after is None:
            local, there = rows[jnp.maximum(index - 1, 0)], states[index]
        else:
            local = rows[index] if self.knots else rows[:1]  # where nothing moves in time there is one row for all
            there, segments = landed(self.model, segments, states, rows, index, jnp.asarray(after))
            index = 1 + jnp.arange(len(index))

        def one(row, state, i):
            patient = self.model.install(unknowns, row)
            return jax.tree.map(lambda x: x[0], at(patient, state[None], i[None], segments))

        if len(local) < len(there):
            return jax.vmap(lambda state, i: one(local[0], state, i))(there, index)
        return jax.vmap(one)(local, there, index)

    def within_reach(self, outputs: Mapping[str, Array]) -> Array:
        """Say whether outputs stay where a patient's can: an unstable integration leaves long before it overflows."""
        declared = self.model.quantities(self.model.Output)
        far = [jnp.any(jnp.abs(values) > reach(name, declared[name].unit)) for name, values in outputs.items()]
        return ~jnp.any(jnp.stack(far)) if far else jnp.ones((), bool)

    def means(self, values: Mapping[str, Any]) -> tuple[dict[str, Array], Array]:
        """Return the noise-free output at each measurement by output name, and whether the solve succeeded."""
        states, solved, rows = self.states(self.paths(values), self.first(values))
        return self.at_measurements(states, rows), solved

    def at_measurements(self, states, rows) -> dict[str, Array]:
        """Return the noise-free output at each measurement by output name, and `slope_of(name)` where clocks err."""
        means = self._at_panels(states, rows, outputs_at, tuple(self.data))
        late = tuple(name for name in self.data if self.observations[name].clock)
        unit = minutes_per_unit(self.model)
        slopes = self._at_panels(states, rows, slopes_at, late)
        return means | {slope_of(name): slope / unit for name, slope in slopes.items()}

    def _at_panels(self, states, rows, at, names) -> dict[str, Array]:
        """Return what `at` says of these outputs at their measurements, once for all that share their times."""
        found: dict[str, Array] = {}
        for panel in self.panels:
            asked = [name for name in panel if name in names]
            if asked:
                first = self.data[panel[0]]
                seen = self.outputs(states, rows, first.index, at, first.after)
                found |= {name: getattr(seen, name) for name in asked}
        return {name: found[name] for name in names}

    def measured(self, means: Mapping[str, Array], values: Mapping[str, Any]) -> dict[str, Measured]:
        """Return the distribution of each output's measurements around the given means."""
        distributions = {}
        for name, data in self.data.items():
            observation = self.observations[name].sized_by(name, values)
            observation = observation.blurred(data.widths, means.get(slope_of(name)))
            distributions[name] = Measured(observation, means[name], data.limits, data.present, data.gaps, data.limited)
        return distributions

    def __call__(self) -> dict[str, Array]:
        """Run as a NumPyro model; returns every parameter (paths included)."""
        values = {name: numpyro.sample(name, prior) for name, prior in self.sites().items()}
        parameters = self.paths(values)
        for name, _ in self.knots:
            numpyro.deterministic(name, parameters[name])
        means, solved = self.means(values)
        for name, measured in self.measured(means, values).items():
            numpyro.sample(f"{name}_measured", measured, obs=jnp.asarray(self.data[name].values))
        if self.past is not None:
            plain, position = dataclasses.replace(self, past=None), self.unconstrain(values)
            numpyro.factor("past", self.log_prior(position) - plain.log_prior(position[: plain.size]))
        numpyro.factor("solved", jnp.where(solved, 0.0, -jnp.inf))
        return parameters


def joint(
    model: AbstractModel,
    record: Record,
    *,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    times=(),
    past: Past | None = None,
) -> Joint:
    """Join a model and a record to the density of their unknowns.

    Parameters
    ----------
    model : AbstractModel
    record : Record
        Must hold at least one of the model's outputs, and every measured input.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator, optional
        `FixedStep()` by default.
    times : (time,) min, optional
        Further times within the record at which a segment shall end, so that the state there is known.
    past : Past, optional
        What was known when the record begins, where it is the end of a longer one.

    Returns
    -------
    Joint

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the record holds none of the outputs, a unit cannot be converted, an observation is named for no output, or
        nothing says how an output that was measured is measured.
    """
    require_kinds(model=(model, AbstractModel), record=(record, Record))
    require_kinds(integrator=(integrator, AbstractIntegrator, None))
    require_each("observations", observations, Observation)
    require_complete(model)
    model = with_covariates(model, record)
    declared = model.quantities(model.Output)
    for name in observations or {}:
        if name not in declared:
            raise ValueError(f"Model `{type(model).__name__}` has no output `{name}`; {nearest(name, declared)}")
    present = [name for name in declared if name in record.observations and len(record.observations[name].times)]
    integrator = FixedStep() if integrator is None else integrator
    seen = {name: record.observations[name].times for name in present}
    inside = isinstance(integrator, FixedStep) and crowded(model, record, seen)
    segments, places = timeline(model, record, seen, times, inside)
    counts = {name: knots(p, record.start, stop_of(model, record)) for name, p in model.processes().items()}
    most = max((len(place.index) for place in places.values()), default=0)
    lengths = [*counts.values(), most] if counts else []
    size = scale((len(segments.start), SEGMENTS), *((length, _KNOTS) for length in lengths))
    segments = padded(segments, int(size * SEGMENTS) if past is None else bucket(len(segments.start), 32))
    # Where nothing moves in time there are few measurements, and one may take long, as a steady beat does.
    # Of very many, half as many again would take half as long again: their lengths are rounded less.
    length = int(size * _KNOTS) if counts and past is None else doubled(most, 8) if most <= _MANY else bucket(most)
    how = {name: (observations or {}).get(name, declared[name].noise) for name in present}
    require_noise(model, how)
    data = {
        name: data_of(record.observations[name], name, declared[name].unit, how[name], places[name], length)
        for name in present
    }
    how = {
        name: dataclasses.replace(o, noise=o.noise.padded(int(data[name].present.sum()), data[name].present.size))
        for name, o in how.items()
    }
    # Windows of one model have nearly one number of knots: nothing is rounded, and nothing padded, but to a dozen.
    knotted = tuple((n, length if past is None else -(-count // 12) * 12) for n, count in counts.items())
    return Joint(model, segments, data, how, integrator, knotted, panels_of(data), past)


def slope_of(name: str) -> str:
    """Return where the slope of an output (per min) stands among the means."""
    return f"slope of {name}"
