"""Theophylline: a user's one-file model, a population of 12, and the published nonlinear mixed-effects estimates."""

import csv
import math
import time
from collections import defaultdict

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp
from tests.validation import Result, shared_data

_WIDE = "wide prior of this script, not published"

# SAS/STAT User's Guide, PROC NLMIXED, "One-Compartment Model with Pharmacokinetic Data" (data and model of Pinheiro
# and Bates 1995): log CL -3.22, log ka 0.47, log ke -2.45, the starting values in the text found by search. nlme's
# own output for the same model (Pinheiro and Bates 2000, section 8.2), -3.2, 0.45 to 0.47 and -2.45, is from
# memory.
PUBLISHED = {"absorption": math.exp(0.47), "clearance": math.exp(-3.22), "volume": math.exp(-3.22 + 2.45)}


class OralCompartment(tp.AbstractModel):
    """One compartment with first-order absorption; clearance and volume per kilogram of body weight."""

    time_unit = "h"
    step = 0.25

    class State(eqx.Module):
        """Amounts per kilogram."""

        gut: Array = tp.quantity("mg", "in the gut")
        body: Array = tp.quantity("mg", "in the body")

    class Input(eqx.Module):
        """The dose."""

        theophylline: Array = tp.quantity("mg/h", "swallowed")

    class Output(eqx.Module):
        """What is measured in serum."""

        concentration: Array = tp.quantity(
            "mg/L", "serum theophylline", noise=tp.Observation(tp.Gaussian(additive=dist.LogNormal(math.log(0.7), 0.5)))
        )

    absorption: float = tp.parameter(dist.LogNormal(0.0, 1.0), unit="1/h", source=_WIDE, about="k_a")
    clearance: float = tp.parameter(dist.LogNormal(-3.0, 1.0), unit="L/h/kg", source=_WIDE, about="CL")
    volume: float = tp.parameter(dist.LogNormal(-0.5, 1.0), unit="L/kg", source=_WIDE, about="V")
    weight: float = tp.covariate("kg", value=70.0)

    def initial(self, inputs):
        """Start empty."""
        return self.State(gut=jnp.zeros(()), body=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        """Absorb and eliminate."""
        absorbed = self.absorption * state.gut
        return self.State(gut=inputs.theophylline - absorbed, body=absorbed - self.clearance / self.volume * state.body)

    def output(self, state, inputs):
        """Dilute in the volume."""
        return self.Output(concentration=state.body / (self.volume * self.weight))


def records() -> list[tp.Record]:
    """Read the twelve people."""
    people = defaultdict(list)
    with open(shared_data("theophylline") / "Theoph.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            people[row["Subject"]].append([float(row[n]) for n in ("Time", "conc", "Dose", "Wt")])
    found = []
    for rows in people.values():
        hours, values, doses, weights = np.array(rows).T
        given = tp.Inputs.bolus("theophylline", 0.0, doses[0] * weights[0], "mg", own=("theophylline",))
        found.append(
            tp.Record.build(
                {"concentration": (60 * hours, values, "mg/L")}, given, {"weight": (weights[0], "kg")},
                own=("concentration", "theophylline"),
            )
        )  # fmt: skip
    return found


def measure() -> Result:
    """Learn the population from wide priors and compare its typical values."""
    began = time.perf_counter()
    population = tp.fit_population(OralCompartment(), records(), key=jax.random.key(0))
    seconds = time.perf_counter() - began
    typical = {name: middle for name, middle, *_ in population.summary()}
    errors = {name: typical[name] / value - 1 for name, value in PUBLISHED.items()}
    ess = population.provenance["effective_draws"]
    found = ", ".join(f"{name} {typical[name]:.4g} ({errors[name]:+.1%})" for name in PUBLISHED)
    return Result(
        figure=f"{found}; {ess:.0f} effective draws; {seconds:.0f} s",
        holds=bool(max(map(abs, errors.values())) <= 0.1 and ess >= 400 and seconds <= 60),
        details={"typical": typical, "published": PUBLISHED, "seconds": seconds, **population.provenance},
    )
