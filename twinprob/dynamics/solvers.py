"""The solvers of diffrax, and their parts, that an `Adaptive` integrator of a saved twin may name."""

import diffrax
import lineax
import optimistix

CLASSES: tuple[type, ...] = (
    diffrax.Bosh3,
    diffrax.Dopri5,
    diffrax.Dopri8,
    diffrax.Euler,
    diffrax.Heun,
    diffrax.ImplicitEuler,
    diffrax.Kvaerno3,
    diffrax.Kvaerno4,
    diffrax.Kvaerno5,
    diffrax.Midpoint,
    diffrax.Ralston,
    diffrax.Tsit5,
    diffrax.VeryChord,
    optimistix.Chord,
    optimistix.Newton,
    lineax.AutoLinearSolver,
    lineax.LU,
    lineax.QR,
    lineax.SVD,
)

# Values of a root finder's fields that are no numbers.
CONSTANTS = {
    "max_norm": optimistix.max_norm,
    "rms_norm": optimistix.rms_norm,
    "two_norm": optimistix.two_norm,
    "as_the_steps": diffrax.with_stepsize_controller_tols(diffrax.VeryChord)().rtol,
}
