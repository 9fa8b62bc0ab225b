"""What blood carries: oxygen and carbon dioxide, their pressures, and pH. Pressures in mmHg, contents in mL/dL."""

import jax
import jax.numpy as jnp
from jax import lax

# Constants from memory, checked against tables in tests/models/test_gas_exchange.py; settings, not published here.
BINDING, DISSOLVED = 1.34, 0.003  # mL O2 per g of hemoglobin; mL O2 per dL and mmHg
SOLUBILITY = 0.0307  # mmol CO2 per L and mmHg at 37 °C
_LOWEST, _HIGHEST = 1e-3, 1e5  # mmHg, the bracket of every inverse


def find_root(function, low, high, *, iterations: int = 80):
    """Find where an increasing function crosses zero, by Newton's method kept inside a bracket.

    Parameters
    ----------
    function : callable from () to ()
        Increasing; it may close over traced numbers, whose derivatives pass through the last Newton step.
    low, high : ()
        The root lies between them, else the nearer end is returned.
    iterations : int
        At most this many; the bracket halves wherever Newton's step would leave it.

    Returns
    -------
    root : ()
    """
    slope = jax.grad(function)

    def unfinished(carry):
        count, x, _, _, moved = carry
        return (count < iterations) & (moved > 4 * jnp.finfo(x.dtype).eps * (1.0 + jnp.abs(x)))

    def step(carry):
        count, x, low, high, moved = carry
        value = function(x)
        low, high = jnp.where(value < 0, x, low), jnp.where(value < 0, high, x)
        newton = x - value / slope(x)
        # Newton's steps must stay inside and shrink, else they could swing around the root for ever.
        good = (newton >= low) & (newton <= high) & (jnp.abs(newton - x) <= 0.5 * moved)
        new = jnp.where(good, newton, 0.5 * (low + high))
        return count + 1, new, low, high, jnp.abs(new - x)

    low, high = (jnp.asarray(x, float) for x in (low, high))
    start = (0, 0.5 * (low + high), low, high, high - low)
    found = lax.stop_gradient(lax.while_loop(unfinished, lambda carry: lax.stop_gradient(step(carry)), start)[1])
    # The derivative of an implicit function: one more step whose slope is held and whose residual is not.
    return found - function(found) / lax.stop_gradient(slope(found))


def virtual_pressure(oxygen, *, pH=7.4, carbon_dioxide=40.0, temperature=37.0):
    """Return the oxygen pressure that would saturate standard blood alike: Kelman's form of the Bohr shift.

    Parameters
    ----------
    oxygen : (...) mmHg
    pH : (...)
    carbon_dioxide : (...) mmHg
    temperature : (...) °C

    Returns
    -------
    pressure : (...) mmHg
    """
    shift = 0.024 * (37.0 - temperature) + 0.40 * (pH - 7.40) + 0.06 * jnp.log10(40.0 / carbon_dioxide)
    return oxygen * 10.0**shift


def saturation(oxygen, *, pH=7.4, carbon_dioxide=40.0, temperature=37.0):
    """Return the saturation of hemoglobin, a fraction, by Severinghaus's equation.

    Parameters
    ----------
    oxygen : (...) mmHg
    pH : (...)
    carbon_dioxide : (...) mmHg
    temperature : (...) °C

    Returns
    -------
    saturation : (...)

    Examples
    --------
    >>> round(float(saturation(100.0)), 3)
    0.977

    References
    ----------
    .. [1] Severinghaus JW. Simple, accurate equations for human blood O2 dissociation computations. J Appl Physiol
       1979;46:599-602. Equation and constants from memory.
    """
    P = virtual_pressure(oxygen, pH=pH, carbon_dioxide=carbon_dioxide, temperature=temperature)
    cubic = P**3 + 150.0 * P
    return cubic / (cubic + 23400.0)


def oxygen_content(oxygen, hemoglobin, **conditions):
    """Return the oxygen that blood carries, bound and dissolved.

    Parameters
    ----------
    oxygen : (...) mmHg
    hemoglobin : (...) g/dL
    **conditions
        As for `saturation`.

    Returns
    -------
    content : (...) mL/dL
    """
    return BINDING * hemoglobin * saturation(oxygen, **conditions) + DISSOLVED * oxygen


def oxygen_pressure(content, hemoglobin, **conditions):
    """Return the pressure at which blood carries an oxygen content; the inverse of `oxygen_content`.

    Parameters
    ----------
    content : () mL/dL
        Above zero; a content that no pressure from 1e-3 to 1e5 mmHg gives returns the nearer of them.
    hemoglobin : () g/dL
    **conditions
        As for `saturation`.

    Returns
    -------
    oxygen : () mmHg
    """
    ends = [oxygen_content(jnp.asarray(end, float), hemoglobin, **conditions) for end in (_LOWEST, _HIGHEST)]
    reachable = jnp.clip(content, *ends)

    def excess(log_pressure):
        return oxygen_content(jnp.exp(log_pressure), hemoglobin, **conditions) - reachable

    return jnp.exp(find_root(excess, jnp.log(_LOWEST), jnp.log(_HIGHEST)))


def carbon_dioxide_content(carbon_dioxide, pH, hemoglobin, saturation, *, temperature=37.0):
    """Return the carbon dioxide that blood carries, by Douglas's equations.

    Parameters
    ----------
    carbon_dioxide : (...) mmHg
    pH : (...)
        Of plasma, below 8.
    hemoglobin : (...) g/dL
    saturation : (...)
        Of hemoglobin with oxygen: desaturated blood carries more (Haldane).
    temperature : (...) °C

    Returns
    -------
    content : (...) mL/dL

    References
    ----------
    .. [1] Douglas AR, Jones NL, Reed JW. Calculation of whole blood CO2 content. J Appl Physiol 1988;65:473-477.
       Constants from memory; two values equal those in the tests of the R package co2ntent.
    """
    cold = 37.0 - temperature
    soluble = SOLUBILITY + 0.00057 * cold + 0.00002 * cold**2
    pK = 6.086 + 0.042 * (7.4 - pH) + (38.0 - temperature) * (0.00472 + 0.00139 * (7.4 - pH))
    plasma = 2.226 * soluble * carbon_dioxide * (1.0 + 10.0 ** (pH - pK))
    return plasma * (1.0 - 0.0289 * hemoglobin / ((3.352 - 0.456 * saturation) * (8.142 - pH)))


def carbon_dioxide_pressure(content, base_excess, hemoglobin, saturation):
    """Return the pressure at which blood of this base excess carries a carbon dioxide content at 37 °C.

    The inverse of `carbon_dioxide_content` along the buffer line, on which pH follows from the pressure.

    Parameters
    ----------
    content : () mL/dL
    base_excess : () mmol/L
    hemoglobin : () g/dL
    saturation : ()

    Returns
    -------
    carbon_dioxide : () mmHg
        From that of pH 8, or 1, to 400; the nearer of them for a content beyond.
    """

    def carried(log_pressure):
        P = jnp.exp(log_pressure)
        return carbon_dioxide_content(P, acidity(P, base_excess), hemoglobin, saturation)

    # Douglas's equation ends at pH 8.142: the lowest pressure is that of pH 8 on the buffer line of `acidity`.
    least = (base_excess / 0.93 + 24.4 - 14.83 * 0.6) / (SOLUBILITY * 10.0**1.9)
    ends = jnp.log(jnp.stack([jnp.maximum(least, 1.0), jnp.asarray(400.0, float)]))
    reachable = jnp.clip(content, carried(ends[0]), carried(ends[1]))
    return jnp.exp(find_root(lambda x: carried(x) - reachable, ends[0], ends[1]))


def acidity(carbon_dioxide, base_excess):
    """Return the pH of arterial blood from its carbon dioxide and the patient's standard base excess.

    Henderson and Hasselbalch's equation together with the standard base excess
    0.93 (HCO3 - 24.4 + 14.83 (pH - 7.4)); both from memory, settings.

    Parameters
    ----------
    carbon_dioxide : () mmHg
        Above zero.
    base_excess : () mmol/L

    Returns
    -------
    pH : ()

    Examples
    --------
    >>> round(float(acidity(40.0, 0.0)), 2)
    7.4
    """

    def excess(pH):
        bicarbonate = SOLUBILITY * carbon_dioxide * 10.0 ** (pH - 6.1)
        return 0.93 * (bicarbonate - 24.4 + 14.83 * (pH - 7.4)) - base_excess

    return find_root(excess, 4.0, 10.0)
