"""Problems of the public PEtab collection, typed in: equations, data and published values, each with its source.

The collection is https://github.com/Benchmarking-Initiative/Benchmark-Models-PEtab (Hass et al., Bioinformatics 2019,
doi:10.1093/bioinformatics/btz020); log likelihoods at its nominal values are those that its tools are tested against.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp

LN2 = math.log(2.0)


def wide(low=1e-5, high=1e5, unit="1"):
    """Return a parameter that the collection bounds and knows no more of."""
    return tp.parameter(dist.LogUniform(low, high), unit=unit, source="doi:10.1093/bioinformatics/btz020")


def sized(low=1e-5, high=1e5):
    """Return a normal noise of unknown size."""
    return tp.Observation(tp.Gaussian(additive=dist.LogUniform(low, high)))


class Boehm(tp.AbstractModel):
    """STAT5A and STAT5B, their dimers in cytoplasm and nucleus, under erythropoietin that decays [1].

    Two molecules of STAT5 are phosphorylated and form a dimer, which goes to the nucleus and comes back as two.

    References
    ----------
    .. [1] Boehm ME et al., J Proteome Res 2014;13:5685. doi:10.1021/pr5006923
    """

    step = 2.5

    class State(eqx.Module):
        A: Array = tp.quantity("nmol/L")
        B: Array = tp.quantity("nmol/L")
        AA: Array = tp.quantity("nmol/L")
        AB: Array = tp.quantity("nmol/L")
        BB: Array = tp.quantity("nmol/L")
        nucleus_AA: Array = tp.quantity("nmol/L")
        nucleus_AB: Array = tp.quantity("nmol/L")
        nucleus_BB: Array = tp.quantity("nmol/L")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        pSTAT5A: Array = tp.quantity("1", noise=sized())
        pSTAT5B: Array = tp.quantity("1", noise=sized())
        rSTAT5A: Array = tp.quantity("1", noise=sized())

    degradation: float = wide()
    k_exp_hetero: float = wide()
    k_exp_homo: float = wide()
    k_imp_hetero: float = wide()
    k_imp_homo: float = wide()
    k_phos: float = wide()

    cytoplasm, nucleus, ratio, specific = 1.4, 0.45, 0.693, 0.107

    def initial(self, inputs):
        none = jnp.zeros(())
        return self.State(207.6 * self.ratio + none, 207.6 * (1 - self.ratio) + none, *[none] * 6)

    def vector_field(self, time, state, inputs):
        x, cyt, nuc = state, self.cytoplasm, self.nucleus
        epo = 1.25e-7 * jnp.exp(-self.degradation * time) * self.k_phos * cyt
        aa, ab, bb = epo * x.A**2, epo * x.A * x.B, epo * x.B**2
        into = cyt * jnp.stack([self.k_imp_homo * x.AA, self.k_imp_hetero * x.AB, self.k_imp_homo * x.BB])
        out = nuc * jnp.stack(
            [self.k_exp_homo * x.nucleus_AA, self.k_exp_hetero * x.nucleus_AB, self.k_exp_homo * x.nucleus_BB]
        )
        return self.State(
            A=(-2 * aa - ab + 2 * out[0] + out[1]) / cyt,
            B=(-ab - 2 * bb + out[1] + 2 * out[2]) / cyt,
            AA=(aa - into[0]) / cyt,
            AB=(ab - into[1]) / cyt,
            BB=(bb - into[2]) / cyt,
            nucleus_AA=(into[0] - out[0]) / nuc,
            nucleus_AB=(into[1] - out[1]) / nuc,
            nucleus_BB=(into[2] - out[2]) / nuc,
        )

    def output(self, state, inputs):
        x, s = state, self.specific
        a, b = x.A * s, x.B * (1 - s)
        aa, bb = 2 * x.AA * s, 2 * x.BB * (1 - s)
        return self.Output(
            pSTAT5A=100 * (x.AB + aa) / (x.AB + a + aa),
            pSTAT5B=100 * (x.AB + bb) / (x.AB + b + bb),
            rSTAT5A=100 * (x.AB + a + aa) / (2 * x.AB + a + aa + b + bb),
        )


BOEHM_TIMES = [0.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 120.0, 160.0, 200.0, 240.0]
BOEHM_DATA = {
    "pSTAT5A": "7.90107299873911 66.3634939682528 81.1713239165337 94.7303080627876 95.1164830493244 91.44171655392 "
    "91.2570992263545 93.672297840992 88.754232823019 85.2697032178279 81.1323953369608 76.135928475796 "
    "65.2480591250229 42.5996587097166 25.1577975445976 15.4301823994994",
    "pSTAT5B": "4.59653334288927 29.6345459874189 46.0438064695701 81.9747336191685 80.5716092952489 79.0357196371442 "
    "75.6723803658298 71.6247198618303 69.0628632755742 67.1473843168934 60.8994762938824 54.8092577721492 "
    "43.9812899778025 29.7714581636675 20.089016562771 10.961845166698",
    "rSTAT5A": "14.7231682180584 33.762342293107 36.7998512942493 49.7176022859654 46.9281200952955 47.8365745550135 "
    "46.9287272497385 40.5977529351181 43.783663885071 44.4573876523855 41.3271592618297 41.0627332148332 "
    "39.2358300289377 36.6194605442418 34.8937144010561 32.2110771608676",
}
BOEHM_NOMINAL = {
    "degradation": 0.026982514033029,
    "k_exp_hetero": 1.00067973851508e-05,
    "k_exp_homo": 0.006170228086381,
    "k_imp_hetero": 0.0163679184468,
    "k_imp_homo": 97749.3794024716,
    "k_phos": 15766.5070195731,
    "pSTAT5A_additive": 3.85261197844677,
    "pSTAT5B_additive": 6.59147818673419,
    "rSTAT5A_additive": 3.15271275648527,
}
BOEHM_LOG_LIKELIHOOD = -138.22199693517703


def boehm_record():
    """The 48 measurements."""
    seen = {name: (BOEHM_TIMES, np.array(text.split(), float), "1") for name, text in BOEHM_DATA.items()}
    return tp.Record.build(seen, own=tuple(seen))


class Elowitz(tp.AbstractModel):
    """The repressilator, three genes that repress each other in a ring, and what is seen of it [1].

    In the collection, what the reporter's gene makes goes into the fluorescence itself.

    References
    ----------
    .. [1] Elowitz MB, Leibler S, Nature 2000;403:335. doi:10.1038/35002125
    """

    step = 5.0

    class State(eqx.Module):
        X: Array = tp.quantity("1")
        Y: Array = tp.quantity("1")
        Z: Array = tp.quantity("1")
        GFP: Array = tp.quantity("1")
        mX: Array = tp.quantity("1")
        mY: Array = tp.quantity("1")
        mZ: Array = tp.quantity("1")
        mGFP: Array = tp.quantity("1")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        # The log likelihood that the collection's tools are tested against is that of a normal log10.
        fluorescence: Array = tp.quantity(
            "1", noise=tp.Observation(tp.Multiplicative.on_log10(dist.LogUniform(1e-5, 1e3)))
        )

    KM: float = wide(1e-5, 1e3)
    eff: float = wide(1e-5, 1e3)
    eff_GFP: float = wide(1e-5, 1e3)
    init_GFP: float = wide(1e-5, 1e3)
    init_GFP_mRNA: float = wide(1e-5, 1e3)
    init_X_mRNA: float = wide(1e-5, 1e3)
    init_X_protein: float = wide(1e-5, 1e3)
    init_Y_mRNA: float = wide(1e-5, 1e3)
    init_Y_protein: float = wide(1e-5, 1e3)
    init_Z_mRNA: float = wide(1e-5, 1e3)
    init_Z_protein: float = wide(1e-5, 1e3)
    n_Hill: float = wide(1.0, 10.0)
    tau_mRNA: float = wide(1e-5, 1e3, "min")
    tau_mRNA_GFP: float = wide(1e-5, 1e3, "min")
    tau_prot: float = wide(1e-5, 1e3, "min")
    tau_prot_GFP: float = wide(1e-5, 1e3, "min")
    tps_active: float = wide(1e-5, 1e3)
    tps_repr: float = wide(1e-5, 1e3)
    background: float = wide(1e-5, 1e3)
    scale: float = wide(1e-5, 1e3)

    def initial(self, inputs):
        proteins = (self.init_X_protein, self.init_Y_protein, self.init_Z_protein, self.init_GFP)
        messengers = (self.init_X_mRNA, self.init_Y_mRNA, self.init_Z_mRNA, self.init_GFP_mRNA)
        return self.State(*map(jnp.asarray, (*proteins, *messengers)))

    def vector_field(self, time, state, inputs):
        x, fast, slow = state, self.tau_mRNA, self.tau_mRNA_GFP

        def made(repressor):
            # Above zero, so that the power is smooth where a step went below it.
            ratio = (jnp.maximum(repressor, 1e-30) / self.KM) ** self.n_Hill
            return 60.0 * (self.tps_repr + (self.tps_active - self.tps_repr) / (1.0 + ratio))

        protein = lambda mRNA, own: mRNA * self.eff / fast - LN2 * own / self.tau_prot  # noqa: E731
        return self.State(
            X=protein(x.mX, x.X),
            Y=protein(x.mY, x.Y),
            Z=protein(x.mZ, x.Z),
            GFP=x.mGFP * self.eff_GFP / slow - LN2 * x.GFP / self.tau_prot_GFP + made(x.X),
            mX=made(x.Z) - LN2 * x.mX / fast,
            mY=made(x.X) - LN2 * x.mY / fast,
            mZ=made(x.Y) - LN2 * x.mZ / fast,
            mGFP=-LN2 * x.mGFP / slow,
        )

    def output(self, state, inputs):
        return self.Output(fluorescence=self.background + self.scale * state.GFP)


ELOWITZ_TIMES = [10.0, 30.0, *np.arange(50.0, 601.0, 10.0)]
ELOWITZ_DATA = (
    "0.251497006 0.089820359 0.167664671 0.113772455 0.131736527 0.143712575 0.215568862 0.443113772 0.640718563 "
    "0.634730539 0.634730539 0.71257485 0.604790419 0.574850299 0.449101796 0.347305389 0.359281437 0.407185629 "
    "0.377245509 0.353293413 0.317365269 0.383233533 0.323353293 0.323353293 0.383233533 0.706586826 0.892215569 "
    "0.982035928 0.946107784 0.892215569 0.886227545 0.874251497 0.640718563 0.688622754 0.616766467 0.640718563 "
    "0.526946108 0.479041916 0.604790419 0.730538922 0.862275449 0.886227545 1 0.928143713 0.874251497 0.808383234 "
    "0.706586826 0.706586826 0.658682635 0.634730539 0.562874251 0.443113772 0.347305389 0.431137725 0.449101796 "
    "0.520958084 0.54491018 0.467065868"
)
ELOWITZ_NOMINAL = {
    "KM": 1.00013184764194e-05,
    "eff": 0.0301592803622868,
    "eff_GFP": 0.00195212197096568,
    "init_GFP": 3.38716998236181e-05,
    "init_GFP_mRNA": 131.435737789559,
    "init_X_mRNA": 2.55665758135759,
    "init_X_protein": 30.8087735629587,
    "init_Y_mRNA": 999.999945990876,
    "init_Y_protein": 0.000818268062900602,
    "init_Z_mRNA": 19.3670294497271,
    "init_Z_protein": 994.381959318238,
    "n_Hill": 1.52254567553984,
    "tau_mRNA": 12.624824570772,
    "tau_mRNA_GFP": 0.000404064377463447,
    "tau_prot": 5.35926527470063,
    "tau_prot_GFP": 71.9312640934983,
    "tps_active": 0.612278991244992,
    "tps_repr": 1.00000000000883e-05,
    "background": 10.0**-4.98107438218408,
    "scale": 10.0**-0.279017032524776,
    "fluorescence_sd": math.log(10.0) * 10.0**-1.14362512938604,
}
ELOWITZ_LOG_LIKELIHOOD = 63.20279991419332


def elowitz_record():
    """The 58 measurements."""
    values = np.array(ELOWITZ_DATA.split(), float)
    return tp.Record.build({"fluorescence": (ELOWITZ_TIMES, values, "1")}, own=("fluorescence",), start=0.0)


class Perelson(tp.AbstractModel):
    """Virus in plasma under a protease inhibitor, equations 3 to 5 of [1], in days.

    References
    ----------
    .. [1] Perelson AS et al., Science 1996;271:1582. doi:10.1126/science.271.5255.1582
    """

    time_unit = "d"
    step = 0.25

    class State(eqx.Module):
        cells: Array = tp.quantity("1/mL")
        infectious: Array = tp.quantity("1/mL")
        others: Array = tp.quantity("1/mL")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        virus: Array = tp.quantity("1/mL", noise=tp.Observation(tp.Multiplicative.on_log10(1.0)))

    c: float = wide(unit="1/d")
    delta: float = wide(unit="1/d")
    V0: float = wide(1.0, 1e10, unit="1/mL")

    burst = 480.0

    def initial(self, inputs):
        return self.State(
            jnp.asarray(self.c * self.V0 / (self.burst * self.delta)), jnp.asarray(self.V0), jnp.zeros(())
        )

    def vector_field(self, time, state, inputs):
        lost = self.delta * state.cells
        # The infection rate times target cells is c / burst: the state before treatment was steady.
        return self.State(
            cells=self.c / self.burst * state.infectious - lost,
            infectious=-self.c * state.infectious,
            others=self.burst * lost - self.c * state.others,
        )

    def output(self, state, inputs):
        return self.Output(virus=state.infectious + state.others)


PERELSON_DAYS = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.75, 3.75, 4.75, 5.75, 6.75]
PERELSON_DATA = "1043000 2170000 1538000 3098000 2262000 1315000 1200000 980000 710000 500000 280000 170000 89000"
PERELSON_NOMINAL = {"c": 2.06, "delta": 0.53, "V0": 1.86e6}
# Sums of squared residuals on the log10 scale, at the nominal values and at the optimum, from the collection's notes.
PERELSON_SQUARES = {"nominal": 0.1775, "optimum": 0.1771}
PERELSON_OPTIMUM = {"c": 2.062, "delta": 0.525, "V0": 1.832e6}


def perelson_record():
    """The 13 measurements of patient 105 after the drug took effect."""
    times = 1440.0 * np.array(PERELSON_DAYS)
    return tp.Record.build({"virus": (times, np.array(PERELSON_DATA.split(), float), "1/mL")}, own=("virus",))


def perelson_log_likelihood(squares: float) -> float:
    """The log likelihood of a sum of squared residuals."""
    values = np.array(PERELSON_DATA.split(), float)
    constant = math.log(math.log(10.0)) + 0.5 * math.log(2 * math.pi)
    return -0.5 * squares - float(np.sum(np.log(values))) - len(values) * constant
