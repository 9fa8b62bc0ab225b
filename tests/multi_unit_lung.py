"""A lung of many units: the independent virtual patient of PEEP staircases. Never the model that is fitted.

Layers under superimposed pressure, opening pressures spread within each, closing below opening, units that stiffen,
and opening that takes time once the pressure is reached. After Hickling (1998) and Bates and Irvin (2002), from
memory; every number is a setting. Plain NumPy, a loop over time: nothing here is shared with `twinprob`.
`staircase` is one lung, `staircases` many at once, for cohorts, with a slow pressure-volume loop if asked.
"""

from dataclasses import dataclass

import numpy as np

LAYERS, UNITS = 15, 20
POINTS, TOP, PACE = 16, 40.0, 0.6  # of a slow loop: points of each limb, cmH2O at its top, s from point to point


@dataclass
class MultiUnitLung:
    """One virtual lung; pressures in cmH2O, volumes in L, times in s."""

    superimposed: np.ndarray
    opening: np.ndarray
    closing: np.ndarray
    volume: np.ndarray
    fullness: float
    speed: float
    resistance: float
    progress: np.ndarray  # 0 closed, 1 open

    @classmethod
    def draw(cls, number: int) -> "MultiUnitLung":
        """Draw a lung: more injury is more superimposed pressure, higher opening pressures, less lung."""
        chance = np.random.default_rng(4000 + number)
        injury = chance.uniform(0.0, 1.0)
        superimposed = np.repeat(np.linspace(0.0, 3.0 + 8.0 * injury, LAYERS), UNITS)
        opening = np.maximum(chance.normal(4.0 + 10.0 * injury, 5.0, LAYERS * UNITS), 0.5)
        closing = opening - np.maximum(chance.normal(7.0 + 2.0 * injury, 2.0, LAYERS * UNITS), 1.0)
        total = chance.uniform(2.2, 3.2) * (1.0 - 0.25 * injury)
        return cls(
            superimposed=superimposed,
            opening=superimposed + opening,
            closing=superimposed + np.maximum(closing, 0.0),
            volume=np.full(LAYERS * UNITS, total / (LAYERS * UNITS)),
            fullness=chance.uniform(14.0, 24.0),
            speed=chance.uniform(0.05, 0.4),
            resistance=chance.uniform(6.0, 14.0),
            progress=np.zeros(LAYERS * UNITS),
        )

    def held(self, pressure: float) -> float:
        """Volume at a pressure with the units that are open now."""
        inside = np.maximum(pressure - self.superimposed, 0.0)
        return float(np.sum(self.volume * (self.progress >= 1.0) * -np.expm1(-inside / self.fullness)))

    def pressure_at(self, volume: float) -> float:
        """The pressure at which the open units hold a volume."""
        low, high = 0.0, 120.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.held(middle) < volume else (low, middle)
        return 0.5 * (low + high)

    def step(self, pressure: float, seconds: float) -> None:
        """Open what has long been above its opening pressure, close what is below its closing one."""
        above, below = pressure - self.opening, self.closing - pressure
        change = np.where(above > 0, self.speed * above, np.where(below > 0, -4.0 * self.speed * below, 0.0)) * seconds
        moved = np.clip(self.progress + change, 0.0, 1.0)
        self.progress = moved

    def breathe(self, peep: float, tidal: float, *, flow: float = 0.6, rate: float = 20.0, steps: int = 12) -> dict:
        """One volume-controlled breath: peak, plateau, the static pressure at half volume, the volume kept."""
        kept = self.held(peep)
        duration = tidal / flow
        half = peep
        for k in range(1, steps + 1):
            pressure = self.pressure_at(kept + tidal * k / steps)
            self.step(pressure, duration / steps)
            if k == steps // 2:
                half = self.pressure_at(kept + 0.5 * tidal)
        plateau = self.pressure_at(kept + tidal)
        self.step(peep, 60.0 / rate - duration)
        return {
            "plateau": plateau,
            "peak": plateau + self.resistance * flow,
            "half": half,
            "end_expiratory_volume": self.held(peep),
        }

    def settle(self, peep: float, tidal: float, breaths: int = 25) -> dict:
        """Breathe until it hardly changes, and return the mean of the last five breaths."""
        seen = [self.breathe(peep, tidal) for _ in range(breaths)]
        return {name: float(np.mean([breath[name] for breath in seen[-5:]])) for name in seen[0]}


def staircase(number: int, base: float, tidal: float, steps: int = 6) -> list[dict]:
    """Return the settled breath at `base` and after each step of 2 cmH2O, from a lung opened once at 35 cmH2O."""
    lung = MultiUnitLung.draw(number)
    for _ in range(20):
        lung.step(35.0, 2.0)
    lung.settle(base, tidal)
    return [lung.settle(base + 2.0 * k, tidal) for k in range(steps + 1)]


class Lungs:
    """Many lungs at once, arrays (lung, unit); units of a layer share what presses on them."""

    def __init__(self, numbers):
        """Draw the lungs of these numbers, closed."""
        drawn = [MultiUnitLung.draw(number) for number in numbers]
        self.superimposed = np.array([lung.superimposed[::UNITS] for lung in drawn])
        self.opening = np.array([lung.opening for lung in drawn])
        self.closing = np.array([lung.closing for lung in drawn])
        self.volume = np.array([lung.volume[0] for lung in drawn])
        self.fullness = np.array([[lung.fullness] for lung in drawn])
        self.speed = np.array([[lung.speed] for lung in drawn])
        self.resistance = np.array([lung.resistance for lung in drawn])
        self.progress = np.zeros_like(self.opening)
        self.open = np.zeros_like(self.superimposed)

    def held(self, pressure: np.ndarray) -> np.ndarray:
        """Volumes at a pressure each, with the units that are open now."""
        inside = np.maximum(pressure[:, None] - self.superimposed, 0.0)
        return self.volume * np.sum(self.open * -np.expm1(-inside / self.fullness), axis=1)

    def pressure_at(self, volume: np.ndarray) -> np.ndarray:
        """The pressures at which the open units hold a volume each."""
        low, high = np.zeros_like(volume), np.full_like(volume, 120.0)
        for _ in range(34):
            middle = 0.5 * (low + high)
            below = self.held(middle) < volume
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)

    def step(self, pressure: np.ndarray, seconds) -> None:
        """Open and close units as `MultiUnitLung.step` does."""
        above, below = pressure[:, None] - self.opening, self.closing - pressure[:, None]
        change = np.where(above > 0, self.speed * above, np.where(below > 0, -4.0 * self.speed * below, 0.0))
        self.progress = np.clip(self.progress + change * np.reshape(seconds, (-1, 1)), 0.0, 1.0)
        self.open = (self.progress >= 1.0).reshape(*self.superimposed.shape, UNITS).sum(axis=2)

    def breathe(self, peep, tidal, *, flow=0.6, rate=20.0, steps=12) -> dict:
        """One volume-controlled breath of each lung, as `MultiUnitLung.breathe`."""
        kept, duration, half = self.held(peep), tidal / flow, peep
        for k in range(1, steps + 1):
            self.step(self.pressure_at(kept + tidal * k / steps), duration / steps)
            if k == steps // 2:
                half = self.pressure_at(kept + 0.5 * tidal)
        plateau = self.pressure_at(kept + tidal)
        self.step(peep, 60.0 / rate - duration)
        peak = plateau + self.resistance * flow
        return {"plateau": plateau, "peak": peak, "half": half, "end_expiratory_volume": self.held(peep)}

    def settle(self, peep, tidal, breaths: int = 25) -> dict:
        """Breathe until it hardly changes, and return the means of the last five breaths."""
        seen = [self.breathe(peep, tidal) for _ in range(breaths)]
        return {name: np.mean([breath[name] for breath in seen[-5:]], axis=0) for name in seen[0]}

    def loop(self, peep) -> dict[str, np.ndarray]:
        """Volumes above that at PEEP on the way to 40 cmH2O and back, (lung, point), by fractions of that way.

        `inflation` at 1/16 to 16/16, `deflation` at 0/16 to 15/16.
        """
        kept, limbs = self.held(peep), []
        for shares in (np.arange(1, POINTS + 1) / POINTS, np.arange(POINTS - 1, -1, -1) / POINTS):
            volumes = []
            for share in shares:
                pressure = peep + share * (TOP - peep)
                self.step(pressure, PACE)
                volumes.append(self.held(pressure) - kept)
            limbs.append(np.stack(volumes, axis=1))
        return {"inflation": limbs[0], "deflation": limbs[1][:, ::-1]}


def staircases(numbers, bases: np.ndarray, tidals: np.ndarray, steps: int = 6, *, looped: bool = False):
    """Return what `staircase` returns for each lung, as arrays (lung, level); with `looped` a loop at baseline first.

    A loop opens what 40 cmH2O opens in its seconds; the lung breathes at its baseline again before anything is read.
    """
    lungs = Lungs(numbers)
    for _ in range(20):
        lungs.step(np.full(len(bases), 35.0), 2.0)
    lungs.settle(bases, tidals)
    found = lungs.loop(bases) if looped else {}
    levels = [lungs.settle(bases + 2.0 * k, tidals) for k in range(steps + 1)]
    return {**{name: np.stack([level[name] for level in levels], axis=1) for name in levels[0]}, **found}
