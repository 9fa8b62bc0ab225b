"""p(parameters, data) of several experiments: their densities summed, with unknowns that they share."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from ..modeling.measured import Measured
from ..modeling.model import nearest
from .data import Data
from .joint import Joint, slope_of
from .unknowns import AbstractDensity


class Together(AbstractDensity):
    """The joint density of several experiments on one system.

    An unknown that is shared is one sample site, under its own name; of one that each experiment has of its own there
    is a site `<name>[<experiment>]` for each. Outputs are named likewise.
    """

    members: dict[str, Joint]
    own: tuple[str, ...] = eqx.field(static=True)

    @property
    def experiments(self) -> tuple[str, ...]:
        """Their names, in the order that compiled code knows them in."""
        return tuple(sorted(self.members))

    def measurements(self) -> dict[str, Data]:  # noqa: D102
        return {of(name, e): data for e in self.experiments for name, data in self.members[e].data.items()}

    def site(self, name: str, experiment: str) -> str:
        """Return the name here of a site of one experiment."""
        return of(name, experiment) if name in self.own else name

    def sites(self) -> dict[str, dist.Distribution]:  # noqa: D102
        found: dict[str, dist.Distribution] = {}
        for experiment in self.experiments:
            for name, prior in self.members[experiment].sites().items():
                found.setdefault(self.site(name, experiment), prior)
        return found

    def innovations(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(self.site(name, e) for e in self.experiments for name in self.members[e].innovations())

    def scales(self) -> dict[str, bool]:  # noqa: D102
        found: dict[str, bool] = {}
        for experiment in self.experiments:
            for name, held in self.members[experiment].scales().items():
                site = self.site(name, experiment)
                found[site] = held or found.get(site, False)
        return found

    def sizes(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(dict.fromkeys(self.site(name, e) for e in self.experiments for name in self.members[e].sizes()))

    def values_of(self, experiment: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every site of one experiment."""
        return {name: values[self.site(name, experiment)] for name in self.members[experiment].sites()}

    def places_of(self, experiment: str) -> np.ndarray:
        """Return where the unknowns of one experiment stand in a position, in the order of its own density."""
        layout = self.layout()
        slices = (layout[self.site(name, experiment)] for name in self.members[experiment].layout())
        return np.concatenate([np.arange(place.start, place.stop) for place in slices])

    def means(self, values: Mapping[str, Any]) -> tuple[dict[str, Array], Array]:  # noqa: D102
        found: dict[str, Array] = {}
        fine = jnp.ones((), bool)
        for experiment in self.experiments:
            means, solved = self.members[experiment].means(self.values_of(experiment, values))
            found |= {of(name, experiment): mean for name, mean in means.items()}
            fine = fine & solved
        return found, fine

    def measured(self, means: Mapping[str, Array], values: Mapping[str, Any]) -> dict[str, Measured]:  # noqa: D102
        found: dict[str, Measured] = {}
        for experiment in self.experiments:
            member = self.members[experiment]
            every = (*member.data, *map(slope_of, member.data))
            here = {name: means[of(name, experiment)] for name in every if of(name, experiment) in means}
            measured = member.measured(here, self.values_of(experiment, values))
            found |= {of(name, experiment): one for name, one in measured.items()}
        return found


def of(name: str, experiment: str) -> str:
    """Return the name of what one experiment has of its own."""
    return f"{name}[{experiment}]"


def together(members: Mapping[str, Joint], *, shared: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> Together:
    """Sum the densities of several experiments.

    Parameters
    ----------
    members : mapping of str to Joint
        Of one class of model each, with the same unknowns.
    shared, own : tuple of str
        Unknowns, parameters and noise sizes, that differ from the default: parameters and noise sizes are shared;
        states at the origin (`tp.parameter(…, origin=True)`) and what moves in time are each experiment's own.

    Returns
    -------
    Together

    Raises
    ------
    ValueError
        If a name is no unknown or stands in both, or a path is to be shared.
    """
    first = next(iter(members.values()))
    declared = first.model.parameters()
    moving = {name for member in members.values() for name in member.model.processes()}
    apart = {name for member in members.values() for name in member.model.unknowns() if declared[name].origin}
    paths = {f"{name}_{part}" for name in moving for part in ("start", "innovations", "volatility")}
    sites = {name for member in members.values() for name in member.sites()}
    known = sorted((sites - paths) | moving)
    for name in (*shared, *own):
        if name not in known:
            raise ValueError(f"No experiment has an unknown `{name}` to share or to own; {nearest(name, known)}")
    for name in shared:
        if name in own:
            raise ValueError(f"`{name}` stands in `shared` and in `own`: leave it in one of them.")
        if name in moving:
            raise ValueError(
                f"`{name}` moves in time, and each experiment has a time of its own: hold it still to share it, "
                f"`model.vary({name}=None)`."
            )
    every = {*apart, *own} - {*shared} | paths
    return Together(dict(members), tuple(sorted(every & sites)))
