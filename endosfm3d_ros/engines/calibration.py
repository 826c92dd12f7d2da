"""Images to calibrate int8 on, made to cover more than the recording that they come from.

Ranges that were measured on one recording do not hold for another: calibrated on a stereo
laparoscope, depth of a sinus endoscope with a round field of view changed its scale by 13 to 17 %.
With the variations below it was 1.4 to 2.0 % (depth network, generated weights, 32 images).
"""

from __future__ import annotations

import numpy as np

BRIGHTER, DARKER = 0.5, 2.0  # exponents of the values in [0, 1]
RADII = (0.3, 0.4, 0.5)  # of a round field of view, in widths of the image


def varied(images: list[np.ndarray]) -> list[np.ndarray]:
    """The (H, W, 3) uint8 images, in turn as they are, through a round field of view, brighter, and
    darker through a round field; the last one, which the parity check runs on, as it is.
    """
    return [*(_variation(i, image) for i, image in enumerate(images[:-1])), *images[-1:]]


def _variation(index: int, image: np.ndarray) -> np.ndarray:
    radius = RADII[index // 4 % len(RADII)]
    forms = (
        lambda: image,
        lambda: in_round_field(image, radius),
        lambda: with_exponent(image, BRIGHTER),
        lambda: with_exponent(in_round_field(image, radius), DARKER),
    )
    return forms[index % len(forms)]()


def in_round_field(image: np.ndarray, radius: float) -> np.ndarray:
    """Black outside of a circle around the centre; `radius` in widths of the image."""
    height, width = image.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    distance = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
    return image * (distance <= (radius * width) ** 2).astype(np.uint8)[..., None]


def with_exponent(image: np.ndarray, exponent: float) -> np.ndarray:
    """Values in [0, 1] to that power."""
    table = (255 * (np.arange(256) / 255) ** exponent).round().astype(np.uint8)
    return table[image]
