"""Lotka-Volterra with `fit` and no options, against posteriordb's reference draws."""

import io
import json
import zipfile

import jax
import numpy as np
from arviz_stats.base.array import array_stats

import twinprob as tp
from tests.validation import Result, shared_data
from tests.validation.lotka_volterra import LotkaVolterra
from twinprob.patient.units import minutes

KEYS = 20
SITES = {
    "alpha": "theta[1]", "beta": "theta[2]", "gamma": "theta[3]", "delta": "theta[4]", "first_hare": "z_init[1]",
    "first_lynx": "z_init[2]", "hare_sd": "sigma[1]", "lynx_sd": "sigma[2]",
}  # fmt: skip


def _open(path):
    with zipfile.ZipFile(path) as archive:
        return json.load(io.BytesIO(archive.read(archive.namelist()[0])))


def _record(folder):
    data = _open(folder / "data_hudson_lynx_hare.json.zip")
    counts = np.vstack([data["y_init"], data["y"]])
    times = np.concatenate([[0.0], data["ts"]]) * minutes("365.25 d")
    return tp.Record.build(
        {n: (times, counts[:, i], "1") for i, n in enumerate(("hare", "lynx"))}, own=("hare", "lynx")
    )


def measure() -> Result:
    """Fit with twenty keys and compare every mean and spread."""
    folder = shared_data("posteriordb-lotka-volterra")
    record = _record(folder)
    chains = _open(folder / "hudson_lynx_hare-lotka_volterra.json.zip")
    reference = {ours: np.concatenate([c[theirs] for c in chains]) for ours, theirs in SITES.items()}
    rows = []
    for seed in range(KEYS):
        twin = tp.fit(LotkaVolterra(), record, key=jax.random.key(seed))
        posterior = twin.group("posterior")
        shifts, ratios, rhats = [], [], []
        for name, draws in reference.items():
            ours = posterior[name].values
            shifts.append(abs(ours.mean() - draws.mean()) / draws.std())
            ratios.append(ours.std() / draws.std())
            rhats.append(float(array_stats.rhat(ours)))
        modes = twin.provenance["modes"]
        rows.append(
            {
                "method": twin.provenance["method"], "khat": twin.provenance["khat"], "rhat": max(rhats),
                "shift": max(shifts), "lowest_ratio": min(ratios), "highest_ratio": max(ratios), "modes": len(modes),
                "weights": [w for _, w in modes],
            }
        )  # fmt: skip
    good = [
        r["rhat"] < 1.01 and r["shift"] <= 0.1 and r["lowest_ratio"] >= 0.93 and r["highest_ratio"] <= 1.07
        for r in rows
    ]
    second = sum(r["modes"] >= 2 for r in rows)
    return Result(
        figure=f"{sum(good)} of {KEYS} keys right: worst R-hat {max(r['rhat'] for r in rows):.3f}, worst mean shift "
        f"{max(r['shift'] for r in rows):.3f} sd, sd ratios {min(r['lowest_ratio'] for r in rows):.3f} to "
        f"{max(r['highest_ratio'] for r in rows):.3f}; a second mode found with {second} keys",
        holds=all(good) and second == KEYS,
        details={"rows": rows},
    )
