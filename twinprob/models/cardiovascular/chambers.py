"""Two ventricles that share septum and pericardium, and the vessels between them: the equations of one instant."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

_FOLLOW = 250.0  # 1/s, how fast the septum's guess follows its root
_LAG = 1.0 / 375.0  # of a beat, in which a closed valve follows its pressure
_STEEPEST = 60.0  # exponent beyond which a passive wall gets no stiffer


class Chambers(NamedTuple):
    """Volumes (mL) and flows through the four valves (mL/s) at one instant; `septum` (mL) is a guess of its root.

    Attributes
    ----------
    left_ventricle, right_ventricle, pulmonary_artery, pulmonary_veins, aorta, vena_cava : () mL
    mitral, aortic, tricuspid, pulmonary : () mL/s
    septum : () mL
    """

    left_ventricle: Array
    right_ventricle: Array
    pulmonary_artery: Array
    pulmonary_veins: Array
    aorta: Array
    vena_cava: Array
    mitral: Array
    aortic: Array
    tricuspid: Array
    pulmonary: Array
    septum: Array


class Pressures(NamedTuple):
    """Pressures at one instant.

    Attributes
    ----------
    left_ventricle, right_ventricle, pulmonary_artery, pulmonary_veins, aorta, vena_cava : () mmHg
    septum : () mL, the volume that the septum bulges to the right
    """

    left_ventricle: Array
    right_ventricle: Array
    pulmonary_artery: Array
    pulmonary_veins: Array
    aorta: Array
    vena_cava: Array
    septum: Array


class Form(NamedTuple):
    """Which equations.

    Attributes
    ----------
    septum : bool, False holds it still
    published_valves : bool, True for the jump of the paper in place of a resistance to backward flow
    """

    septum: bool = True
    published_valves: bool = False


def pressures(heart, time, state: Chambers, form: Form = Form()) -> Pressures:  # noqa: B008  an immutable tuple
    """Return the pressures at one instant, with the septum where it is in balance.

    Parameters
    ----------
    heart : mapping of str to ()
        From `SixChamber.heart`.
    time : () s
        Since the beginning of the beat.
    state : Chambers
    form : Form
    """
    T = 60.0 / heart["heart_rate"]
    e = jnp.exp(-heart["heart_rate"] * (time - 0.5 * T) ** 2)

    def wall(side, volume):
        """Return pressure, elastance and its rise of a wall between its end-systolic and end-diastolic curves."""
        stiffness = heart[f"{side}_stiffness"]
        curve = heart[f"{side}_passive_pressure"] * jnp.exp(
            jnp.minimum(stiffness * (volume - heart[f"{side}_passive_volume"]), _STEEPEST)
        )
        active = e * heart[f"{side}_elastance"]
        passive = (1.0 - e) * (curve - heart[f"{side}_passive_pressure"])
        stiff = (1.0 - e) * stiffness * curve
        return active * (volume - heart[f"{side}_dead_volume"]) + passive, active + stiff, stiffness * stiff

    def walls(V):
        """Return septum, left and right wall with the septum at V."""
        return wall("septum", V), wall("left", state.left_ventricle - V), wall("right", state.right_ventricle + V)

    def shift(around):
        """Return Newton's step of the septum toward its balance, which what it lacks reaches rising strictly with V.

        Also the factor by which Halley's step differs from it.
        """
        (P_s, E_s, B_s), (P_l, E_l, B_l), (P_r, E_r, B_r) = around
        slope = lax.stop_gradient(E_s + E_l + E_r)
        step = -jnp.clip((P_s - P_l + P_r) / slope, -5.0, 5.0)
        return step, 1.0 / jnp.maximum(1.0 + 0.5 * step * (B_s - B_l + B_r) / slope, 0.5)

    V = step = jnp.zeros_like(jnp.asarray(state.septum, float))
    if form.septum:
        # Halley's step from a guess within half a milliliter, and one of Newton's, so short that the walls follow along
        # their slopes; its derivative is that of the root.
        step, longer = shift(walls(state.septum))
        V = lax.stop_gradient(state.septum + longer * step)
        step, _ = shift(walls(V))
    _, (P_l, E_l, _), (P_r, E_r, _) = walls(V)
    P_th = heart["intrathoracic_pressure"]
    both = heart["pericardium_stiffness"] * (state.left_ventricle + state.right_ventricle - heart["pericardium_volume"])
    around = heart["pericardium_pressure"] * jnp.expm1(jnp.minimum(both, _STEEPEST)) + P_th
    return Pressures(
        left_ventricle=P_l - E_l * step + around,
        right_ventricle=P_r + E_r * step + around,
        pulmonary_artery=heart["pulmonary_artery_elastance"] * state.pulmonary_artery + P_th,
        pulmonary_veins=heart["pulmonary_vein_elastance"] * state.pulmonary_veins + P_th,
        aorta=heart["aortic_elastance"] * state.aorta,
        vena_cava=heart["vena_cava_elastance"] * state.vena_cava,
        septum=V + step,
    )


def _valve(heart, name, dP, Q, form: Form):
    """Return dQ/dt of a valve.

    As published, a closed valve keeps its flow: dQ/dt is zero where both dP and Q are negative. That is a jump, after
    which Q remembers where it happened. Here a valve instead meets backward flow with a resistance so large that Q
    follows dP within `_LAG` of a beat; the balances count no backward flow in either form.
    """
    R, L = heart[f"{name}_resistance"], heart[f"{name}_inertance"]
    if form.published_valves:
        return jnp.where((dP < 0) & (Q < 0), 0.0, (dP - R * Q) / L)
    return (dP - jnp.where(Q < 0, L * heart["heart_rate"] / (60.0 * _LAG), R) * Q) / L


@lru_cache
def rates(form: Form) -> Callable:
    """Return the function of (heart, time, vector of `Chambers`) that is the derivative of that vector; time in s.

    Parameters
    ----------
    form : Form
    """

    def field(heart, time, y):
        x = Chambers(*y)
        P = pressures(heart, time, x, form)
        forward = {name: jnp.maximum(getattr(x, name), 0.0) for name in ("mitral", "aortic", "tricuspid", "pulmonary")}
        Q_sys = (P.aorta - P.vena_cava) / heart["systemic_resistance"]
        Q_pul = (P.pulmonary_artery - P.pulmonary_veins) / heart["pulmonary_resistance"]
        return jnp.stack(
            [
                forward["mitral"] - forward["aortic"],
                forward["tricuspid"] - forward["pulmonary"],
                forward["pulmonary"] - Q_pul,
                Q_pul - forward["mitral"],
                forward["aortic"] - Q_sys,
                Q_sys - forward["tricuspid"],
                _valve(heart, "mitral", P.pulmonary_veins - P.left_ventricle, x.mitral, form),
                _valve(heart, "aortic", P.left_ventricle - P.aorta, x.aortic, form),
                _valve(heart, "tricuspid", P.vena_cava - P.right_ventricle, x.tricuspid, form),
                _valve(heart, "pulmonary_valve", P.right_ventricle - P.pulmonary_artery, x.pulmonary, form),
                _FOLLOW * (P.septum - x.septum),
            ]
        )

    return field
