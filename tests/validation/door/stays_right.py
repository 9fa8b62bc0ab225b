"""What was right already and must stay so: a pulse in a day, censored values, flip-flop, what cannot be told."""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import scipy.stats

import twinprob as tp
from tests.validation.door import Check, judged
from tests.validation.door.drug import (
    OWN,
    RATE,
    Absorbed,
    Drug,
    absorbed,
    after_a_dose,
    at,
    dose,
    during,
    fitted,
    record,
)
from twinprob.diagnostics.structural import structural
from twinprob.dynamics.precision import in_double_precision


def _near(found, expected, relative: float = 1e-3) -> bool:
    return bool(np.allclose(found, expected, rtol=relative, atol=1e-6))


@in_double_precision
def _true(inputs: tp.Inputs, times, **how) -> np.ndarray:
    return at(inputs, times, **how)


def _minute(hours: float, mg: float = 80.0) -> float:
    """Return the concentration some hours after the start of a dose that takes a minute, exactly."""
    return float(during(1 / 60, 60 * mg) * math.exp(-RATE * (hours - 1 / 60)))


DAY = [0.0, 1440.0]
PULSE: dict[str, Check] = {
    "a minute in a day, fixed steps": lambda: judged(
        lambda: _true(dose(720.0), DAY)[1], lambda c: _near(c, _minute(12)), refusable=False
    ),
    "adaptive steps": lambda: judged(
        lambda: _true(dose(720.0), DAY, integrator=tp.Adaptive())[1], lambda c: _near(c, _minute(12)), refusable=False
    ),
    "a second in a week": lambda: judged(
        lambda: _true(tp.Inputs.bolus("drug", 9000.0, 80, "mg", duration=1 / 60, own=OWN), [0.0, 10080.0])[1],
        lambda c: _near(c, after_a_dose(18 - 1 / 7200), 1e-3),
        refusable=False,
    ),
    "two pulses": lambda: judged(
        lambda: _true(dose(300.0) | dose(900.0, 40.0), DAY)[1],
        lambda c: _near(c, _minute(19) + _minute(9, 40.0)),
        refusable=False,
    ),
    "a pulse at the end": lambda: judged(
        lambda: _true(dose(1439.0), DAY)[1], lambda c: _near(c, _minute(1 / 60)), refusable=False
    ),
    "a pulse first, measured later": lambda: judged(
        lambda: _true(dose(30.0), [60.0, 120.0, 240.0], start=0.0),
        lambda c: _near(c, [_minute(0.5), _minute(1.5), _minute(3.5)]),
        refusable=False,
    ),
    "no start is said": lambda: judged(
        lambda: _true(dose(0.0), [60.0, 240.0]), lambda c: _near(c, [_minute(1), _minute(4)])
    ),
    "a pulse in a forecast": lambda: judged(lambda: _mean_ahead(), lambda c: _near(c[0], c[1], 0.01), refusable=False),
}


def _mean_ahead() -> tuple[float, float]:
    """Return what a dose adds to a forecast 5 h ahead, and what it must add by the twin's own draws."""
    data = record([60.0, 120.0], [4.0, 3.2], dose(0.0))
    twin, key = fitted(data), jax.random.key(1)
    plans = (None, tp.plan(twin, drug="60 mg at +60 min"))
    futures = [tp.forecast(twin, times=[420.0], key=key, inputs=plan).group("predicted_outputs") for plan in plans]
    kept, more = (future["concentration"].values.ravel() for future in futures)
    k, volume = (twin.group("posterior")[name].values.ravel() for name in ("k", "volume"))
    return float(np.mean(more - kept)), float(np.mean(60 / volume * np.exp(-k * (4 - 0.5 / 60))))


HOURS = np.array([1.0, 2.0, 4.0, 6.0])


@in_double_precision
def _likelihood(observation: tp.Observation, values, limits, expect) -> tuple[float, float]:
    """Return the library's log likelihood at k 0.3, V 18, and one by hand."""
    data = record(60 * HOURS, values, dose(-0.5), more=(limits,))
    joint = tp.joint(Drug(), data, observations={"concentration": observation})
    u = joint.unconstrain({"k": jnp.array(0.3), "volume": jnp.array(18.0)})
    mean = during(1 / 60, 4800.0, 0.3, 18.0) * np.exp(-0.3 * (HOURS + 0.5 / 60 - 1 / 60))
    return float(joint.log_density(u) - joint.log_prior(u)), float(expect(mean))


def _equal(pair: tuple[float, float]) -> bool:
    return abs(pair[0] - pair[1]) < 1e-4 * max(1.0, abs(pair[1]))


NORMAL = scipy.stats.norm
SOME = [3.3, 2.3, 0.6, 0.4]


def _below(mean, sd):
    return NORMAL.logpdf(3.3, mean[0], sd[0]) + NORMAL.logpdf(2.3, mean[1], sd[1]) + NORMAL.logcdf(0.6, mean[2], sd[2])


CENSORED: dict[str, Check] = {
    "below a limit in the record": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.2)),
            SOME,
            [0, 0, -1, 0],
            lambda m: _below(m, [0.2] * 4) + NORMAL.logpdf(0.4, m[3], 0.2),
        ),
        _equal,
        refusable=False,
    ),
    "below the observation's own limit": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.2), lower=0.6),
            SOME,
            [0, 0, -1, 0],
            lambda m: _below(m, [0.2] * 4) + NORMAL.logcdf(0.6, m[3], 0.2),
        ),
        _equal,
        refusable=False,
    ),
    "above a limit": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.2)),
            [3.0, 2.3, 1.3, 0.7],
            [1, 0, 0, 0],
            lambda m: NORMAL.logsf(3.0, m[0], 0.2) + NORMAL.logpdf([2.3, 1.3, 0.7], m[1:], 0.2).sum(),
        ),
        _equal,
        refusable=False,
    ),
    "relative noise": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(relative=0.1)),
            SOME,
            [0, 0, -1, -1],
            lambda m: _below(m, 0.1 * m) + NORMAL.logcdf(0.4, m[3], 0.1 * m[3]),
        ),
        _equal,
        refusable=False,
    ),
    "all four below": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.2)), SOME, [-1] * 4, lambda m: NORMAL.logcdf(SOME, m, 0.2).sum()
        ),
        _equal,
        refusable=False,
    ),
    "far below, by nine deviations": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.1)),
            [2.4, 2.4, 1.3, 0.7],
            [-1, 0, 0, 0],
            lambda m: NORMAL.logcdf(2.4, m[0], 0.1) + NORMAL.logpdf([2.4, 1.3, 0.7], m[1:], 0.1).sum(),
        ),
        _equal,
        refusable=False,
    ),
    "without any": lambda: judged(
        lambda: _likelihood(
            tp.Observation(tp.Gaussian(additive=0.2)), SOME, [0] * 4, lambda m: NORMAL.logpdf(SOME, m, 0.2).sum()
        ),
        _equal,
        refusable=False,
    ),
}

SWALLOWED = np.array([0.5, 1.0, 2.0, 4.0, 8.0])


def _posterior_by_hand(data: np.ndarray, prior_a: float, sd: float, size: int = 121) -> float:
    """Return P(a < e) on a grid of log a, log e and log V, with the prior of `Absorbed`."""
    la, le, lv = (
        c + s * np.linspace(-4, 4, size)
        for c, s in ((math.log(prior_a), sd), (math.log(0.3), 0.6), (math.log(16.0), 0.5))
    )
    a, e = np.exp(la)[:, None, None, None], np.exp(le)[None, :, None, None] * (1 + 1e-9)
    mean = absorbed(SWALLOWED - 0.5 / 60, a, e, np.exp(lv)[None, None, :, None])
    density = NORMAL.logpdf(data, mean, 0.05).sum(-1) + NORMAL.logpdf(la, math.log(prior_a), sd)[:, None, None]
    density += (
        NORMAL.logpdf(le, math.log(0.3), 0.6)[None, :, None] + NORMAL.logpdf(lv, math.log(16.0), 0.5)[None, None, :]
    )
    weight = np.exp(density - density.max())
    return float(weight[np.broadcast_to(a[..., 0] < e[..., 0], weight.shape)].sum() / weight.sum())


@cache
def _two_modes(seed: int, a: float = 0.6, e: float = 0.3) -> tuple[float, float, int]:
    """Return P(a < e) of a twin, by hand, and the number of modes found."""
    values = absorbed(SWALLOWED, a, e, 16.0) + 0.05 * np.random.default_rng(seed).normal(size=5)
    data = record(60 * SWALLOWED, values, dose(0.0))
    twin = fitted(data, Absorbed(), method=tp.Laplace(draws=500, proposals=4000, starts=8))
    drawn = twin.group("posterior")
    modes = [weight for _, weight in twin.provenance["modes"] if weight > 0.01]
    return float(np.mean(drawn["a"].values < drawn["e"].values)), _posterior_by_hand(values, 0.6, 0.6), len(modes)


def _close(found: tuple[float, float, int]) -> bool:
    return abs(found[0] - found[1]) < 0.06


def _weighed(found: tuple[float, float, int]) -> bool:
    return _close(found) and found[2] >= 2


FLIP_FLOP: dict[str, Check] = {
    "both modes have their weight": lambda: judged(lambda: _two_modes(1), _weighed, refusable=False),
    "of other measurements": lambda: judged(lambda: _two_modes(2), _weighed, refusable=False),
    "of a slow absorption": lambda: judged(lambda: _two_modes(3, 0.35, 0.7), _close, refusable=False),
    "of rates further apart": lambda: judged(lambda: _two_modes(4, 1.0, 0.25), _close, refusable=False),
    "of rates nearly equal": lambda: judged(lambda: _two_modes(5, 0.45, 0.4), _close, refusable=False),
    "a structure with two roots": lambda: judged(
        lambda: str(structural(Absorbed(), key=jax.random.key(2))),
        lambda text: "undecided" not in text.splitlines()[0],
        refusable=False,
    ),
}


class Product(Drug):
    """The dose absorbed in part: f and V are seen only as f / V."""

    f: float = tp.parameter(dist.LogNormal(math.log(0.7), 0.3), unit="1", source="test", about="share absorbed")

    def initial(self, inputs):
        return self.State(amount=self.f * inputs.drug / self.k)

    def vector_field(self, time, state, inputs):
        return self.State(amount=self.f * inputs.drug - self.k * state.amount)


class Scaled(Drug):
    """Two gains in a row: only their product is seen."""

    gain: float = tp.parameter(dist.LogNormal(0.0, 0.3), unit="1", source="test", about="gain of the sensor")

    def output(self, state, inputs):
        return self.Output(concentration=self.gain * state.amount / self.volume)


class TwoWays(Drug):
    """Two eliminations side by side: only their sum is seen."""

    other: float = tp.parameter(dist.LogNormal(math.log(0.1), 0.3), unit="1/h", source="test", about="another way out")

    def initial(self, inputs):
        return self.State(amount=inputs.drug / (self.k + self.other))

    def vector_field(self, time, state, inputs):
        return self.State(amount=inputs.drug - (self.k + self.other) * state.amount)


def _bad(model) -> set[str]:
    verdict = structural(model, key=jax.random.key(2))
    assert verdict.decided
    return {name for name, good in verdict.identifiable.items() if not good}


def _ahead_of_a_product() -> str:
    data = record(60 * HOURS, after_a_dose(HOURS - 0.5 / 60), dose(0.0))
    return str(tp.identify(fitted(data, Product()), key=jax.random.key(2)))


CONFOUNDED: dict[str, Check] = {
    "a share and a volume": lambda: judged(lambda: _bad(Product()), lambda b: b == {"f", "volume"}, refusable=False),
    "two gains": lambda: judged(lambda: _bad(Scaled()), lambda b: b == {"gain", "volume"}, refusable=False),
    "two ways out": lambda: judged(lambda: _bad(TwoWays()), lambda b: b == {"k", "other"}, refusable=False),
    "one compartment": lambda: judged(lambda: _bad(Drug()), lambda b: b == set(), refusable=False),
    "absorption": lambda: judged(lambda: _bad(Absorbed()), lambda b: b == set(), refusable=False),
    "the fitted twin names them": lambda: judged(
        _ahead_of_a_product,
        lambda text: all(f"{name}: structurally unidentifiable" in text for name in ("f", "volume")),
        refusable=False,
    ),
}

KINDS = {
    "40 a pulse in a day": PULSE,
    "41 censored values": CENSORED,
    "42 flip-flop": FLIP_FLOP,
    "43 not identifiable": CONFOUNDED,
}
