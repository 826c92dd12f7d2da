"""Random changes of colour, drawn once and applied to as many images as needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.training.recipes import ColourJitter

STEPS = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True)
class JitterDraw:
    """One draw: steps in their order, each with its amount. An empty one changes nothing."""

    steps: tuple[tuple[str, float], ...] = ()

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB float32 in [0, 1], and so is the result."""
        for name, amount in self.steps:
            image = _CHANGES[name](image, np.float32(amount))
        return image


def draw_jitter(config: ColourJitter, rng: np.random.Generator) -> JitterDraw:
    """Amounts and order of the four steps, as torchvision's ColorJitter draws them."""
    steps = []
    for name in rng.permutation(STEPS):
        spread = getattr(config, str(name))
        middle = 0.0 if name == "hue" else 1.0
        steps.append((str(name), float(rng.uniform(middle - spread, middle + spread))))
    return JitterDraw(tuple(steps))


def draw_triplet(config: ColourJitter, rng: np.random.Generator) -> tuple[JitterDraw, ...]:
    """A draw for each of the three images of a triplet; shared or not, changed or not."""
    if rng.random() >= config.probability:
        return (JitterDraw(),) * 3
    first = draw_jitter(config, rng)
    if config.shared:
        return (first,) * 3
    return first, draw_jitter(config, rng), draw_jitter(config, rng)


def _brightness(image: np.ndarray, factor: np.float32) -> np.ndarray:
    return np.clip(image * factor, 0, 1)


def _contrast(image: np.ndarray, factor: np.float32) -> np.ndarray:
    mean = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean(dtype=np.float32)
    return np.clip(mean + (image - mean) * factor, 0, 1)


def _saturation(image: np.ndarray, factor: np.float32) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return np.clip(grey + (image - grey) * factor, 0, 1)


def _hue(image: np.ndarray, turn: np.float32) -> np.ndarray:
    """`turn` is a share of the colour circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = np.mod(hsv[..., 0] + 360 * turn, 360)
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)


_CHANGES = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}
