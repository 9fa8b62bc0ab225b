"""Several experiments on one system: what is believed of each, and of what they share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..labels import Labelled, dataset, tree
from ..modeling.model import AbstractModel, nearest
from .classes import Classes, Misfit
from .format import opened, save
from .together import of
from .twin import Twin, decode_twin, encode_twin


@dataclass(frozen=True, repr=False)
class Experiments:
    """The joint posterior of several experiments, as a twin of each.

    A draw of one twin and the same draw of another belong together: what is shared has one value in both. Each twin
    answers for its own experiment, as any twin does (`forecast`, `diagnose`), and knows what all of them told.

    Attributes
    ----------
    twins : mapping of str to Twin
        By experiment.
    own : tuple of str
        The unknowns that each experiment has of its own; all others are shared.
    """

    twins: Mapping[str, Twin]
    own: tuple[str, ...]

    def __getitem__(self, name: str) -> Twin:
        """Return the twin of one experiment."""
        if name not in self.twins:
            raise KeyError(f"There is no experiment `{name}`; {nearest(name, self.twins)}")
        return self.twins[name]

    def __iter__(self):
        """Go through the names of the experiments."""
        return iter(self.twins)

    def __len__(self) -> int:
        """Return how many experiments there are."""
        return len(self.twins)

    @property
    def posterior(self) -> xr.Dataset:
        """Draws of all unknowns that do not move in time: shared (chain, draw), own (experiment, chain, draw)."""
        parts = {name: twin.group("posterior") for name, twin in self.twins.items()}
        first, found = next(iter(parts.values())), {}
        for name, values in first.data_vars.items():
            if values.dims != ("chain", "draw"):
                continue
            about = {key: values.attrs.get(key, "") for key in ("units", "long_name", "source")}
            if name in self.own:
                stacked = np.stack([part[name].values for part in parts.values() if name in part])
                if len(stacked) == len(parts):
                    found[str(name)] = Labelled(("experiment", "chain", "draw"), stacked, *about.values())
            else:
                found[str(name)] = Labelled(("chain", "draw"), values.values, *about.values())
        for part in parts.values():  # a noise size of an output that not every experiment measures
            for name, values in part.data_vars.items():
                if str(name) not in found and name not in self.own and values.dims == ("chain", "draw"):
                    found[str(name)] = Labelled(("chain", "draw"), values.values)
        names = Labelled(("experiment",), np.array(list(parts)))
        return dataset(found, {"experiment": names}, {})

    def save(self, path) -> None:
        """Write all of them to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written: no such folder, a full disk. What was there is untouched.
        ValueError
            If a twin holds what no file could give back, such as a function.
        """
        described = {
            "own": list(self.own),
            "order": list(self.twins),
            "twins": {name: encode_twin(twin) for name, twin in self.twins.items()},
        }
        groups: dict[str, Any] = {}
        for name, twin in self.twins.items():
            groups[name] = xr.Dataset(attrs=twin.tree.attrs)
            groups |= {f"{name}/{group}": node.to_dataset() for group, node in twin.tree.children.items()}
        save(path, "experiments", tree(groups, {}), described, [next(iter(self.twins.values())).model])

    def __repr__(self) -> str:
        """Say in a few lines what is shared, and what each experiment has of its own."""
        shown = self.posterior
        lines = [f"Experiments: {', '.join(self.twins)}; {type(next(iter(self.twins.values())).model).__name__}"]
        for name, values in shown.data_vars.items():
            apart = "experiment" in values.dims
            for where in self.twins if apart else ("",):
                low, middle, high = np.quantile(values.sel(experiment=where) if apart else values, [0.05, 0.5, 0.95])
                label, unit = (of(str(name), where) if apart else name), values.attrs.get("units", "")
                lines.append(f"  {label} {middle:.3g} ({low:.3g} to {high:.3g}) {unit}".rstrip())
        lines.append("  `diagnose(experiments[name])` says how far to trust each. Research software.")
        return "\n".join(lines)


def load_experiments(
    path, *, model: AbstractModel | type[AbstractModel] | None = None, own: Iterable[type] = ()
) -> Experiments:
    """Read experiments that `Experiments.save` wrote.

    Parameters
    ----------
    path : str or Path
    model : AbstractModel or its class, optional
        The user's own model, as for `load`.
    own : iterable of classes
        Further classes of the user's own, as for `load`.

    Returns
    -------
    Experiments

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `model` is no model or `own` holds what is no class.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version, or names a class that is
        neither twinprob's nor known here.
    """
    classes = Classes.passed("load_experiments", model, own)
    with opened(path, "experiments") as stored:
        said = stored.described
        if not said["order"] or sorted(said["order"]) != sorted(said["twins"]):
            raise Misfit("it names experiments that it does not hold")
        twins = {}
        for name in said["order"]:
            node = stored.tree[name]
            groups: dict[str, Any] = {str(group): child.to_dataset() for group, child in node.children.items()}
            attrs: dict[str, Any] = {str(label): value for label, value in node.attrs.items()}
            twins[name] = decode_twin(said["twins"][name], tree(groups, attrs), classes, stored.version)
        stored.compare([twin.model for twin in twins.values()][:1], next(iter(twins.values())).provenance["versions"])
        unknown = [name for name in said["own"] if not isinstance(name, str)]
        if unknown:
            raise Misfit("what its experiments have of their own is no name")
    return Experiments(twins, tuple(said["own"]))
