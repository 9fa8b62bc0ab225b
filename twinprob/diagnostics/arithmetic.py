"""Numbers of two kinds: floating-point ones, and integers modulo a prime, where nothing is ever rounded."""

import math
from fractions import Fraction
from typing import Any

import numpy as np

PRIME = 2**31 - 1  # two residues multiply within 64 bits; 3 modulo 4, so that roots are easy
_HALF = (PRIME + 1) // 2


class NoRoot(Exception):
    """A residue without a square root: another random point has to be tried."""


class Real:
    """Floating-point numbers."""

    dtype = np.dtype(float)
    formal = False

    def lift(self, value):
        """Return a number of this arithmetic."""
        return float(value)

    def reduce(self, values):
        """Bring values to their normal form."""
        return values

    def product(self, matrix, columns):
        """Multiply two matrices."""
        return matrix @ columns

    def inverse(self, value):
        """Return 1 / value."""
        return 1.0 / value

    def exp(self, value):
        """Return the exponential."""
        return math.exp(value)

    def log(self, value):
        """Return the logarithm."""
        return math.log(value)

    def power(self, value, exponent):
        """Return value to the power of a number that is not a whole one."""
        return float(value) ** float(exponent)

    def circle(self, value):
        """Return sine and cosine."""
        return math.sin(value), math.cos(value)


class Residue:
    """Integers modulo a prime.

    A transcendental function takes a random value at each distinct argument, the same one whenever it is asked again;
    its derivatives are formal, so that they are exact. `formal` says that this was needed.
    """

    dtype = np.dtype(np.int64)

    def __init__(self, chance: np.random.Generator):
        self.formal = False
        self._chance = chance
        self._known: dict[Any, int] = {}

    def lift(self, value):
        """Return a number of this arithmetic; a decimal number is the fraction it is written as."""
        fraction = Fraction(repr(float(value)))
        return fraction.numerator * pow(fraction.denominator, -1, PRIME) % PRIME

    def reduce(self, values):
        """Bring values to their normal form."""
        return values % PRIME

    def product(self, matrix, columns):
        """Multiply two matrices; split in halves, no sum of up to 64 products leaves 64 bits."""
        return ((((matrix >> 16) @ columns) % PRIME << 16) + (matrix & 0xFFFF) @ columns) % PRIME

    def inverse(self, value):
        """Return 1 / value."""
        if int(value) % PRIME == 0:
            raise ZeroDivisionError
        return pow(int(value), -1, PRIME)

    def exp(self, value):
        """Return a random value for the exponential, and one for zero."""
        return 1 if int(value) == 0 else self._generic(("exp", int(value)))

    def log(self, value):
        """Return a random value for the logarithm, and zero for one."""
        return 0 if int(value) == 1 else self._generic(("log", int(value)))

    def power(self, value, exponent):
        """Return the square root, or a random value for any other power that is not a whole one."""
        value = int(value)
        if value == 0:
            raise ZeroDivisionError
        if int(exponent) == _HALF:
            root = pow(value, (PRIME + 1) // 4, PRIME)
            if root * root % PRIME != value:
                raise NoRoot
            return root
        return self._generic(("power", value, int(exponent)))

    def circle(self, value):
        """Return a random point of the unit circle."""
        if int(value) == 0:
            return 0, 1
        t = self._generic(("circle", int(value)))
        below = self.inverse(1 + t * t)
        return 2 * t * below % PRIME, (1 - t * t) * below % PRIME

    def _generic(self, key):
        self.formal = True
        if key not in self._known:
            self._known[key] = int(self._chance.integers(2, PRIME))
        return self._known[key]
