"""A flow with a known answer: translation, rotation and shear, the same everywhere in time.

>>> import numpy as np
>>> flow = Flow(np.array([30.0, 0.0]), np.zeros((2, 2)))
>>> flow.carry(np.array([0.0, 0.0]), minutes=60).tolist()
[30.0, 0.0]
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import expm


@dataclass(frozen=True)
class Flow:
    """Velocity v(r) = `mean` + `gradient` r in km/h at a place r = (east, north) in km from the middle."""

    mean: np.ndarray
    gradient: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, half_km: float) -> "Flow":
        """A westerly of 25 to 50 km/h, turned by up to 60 degrees, with rotation and shear that it feels at the rim."""
        speed, angle = rng.uniform(25.0, 50.0), rng.uniform(-np.pi / 3, np.pi / 3)
        rotation, shear = rng.choice([-1.0, 1.0]) * rng.uniform(6.0, 14.0), rng.uniform(-8.0, 8.0)
        gradient = np.array([[0.0, -rotation + shear], [rotation, 0.0]]) / half_km
        return cls(speed * np.array([np.cos(angle), np.sin(angle)]), gradient)

    def velocity(self, place: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape 2"]:
        """Velocity (east, north) in km/h."""
        return np.asarray(self.mean + place @ self.gradient.T)

    def carry(self, place: Float[np.ndarray, "*shape 2"], minutes: float) -> Float[np.ndarray, "*shape 2"]:
        """Where the air that is at `place` will be after some minutes, or was before if negative: exactly."""
        system = np.zeros((3, 3))
        system[:2, :2], system[:2, 2] = self.gradient, self.mean
        solved = expm(system * minutes / 60.0)
        return np.asarray(place @ solved[:2, :2].T + solved[:2, 2])
