"""Instruments by a network."""

from __future__ import annotations

import logging

import cv2
import numpy as np

from endosfm3d_ros.engines import Engine, EngineSettings
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.tools.segmentation.card import TOOL, ModelCard, find_model
from endosfm3d_ros.tools.segmentation.network_engines import tool_engine
from endosfm3d_ros.tools.segmentation.plausibility import colourless, implausible, unlit
from endosfm3d_ros.tools.segmentation.types import PARTS, ToolMask
from endosfm3d_ros.types import Frame

log = logging.getLogger(__name__)


class NetworkSource:
    """Runs the network of a folder on each image by itself.

    Args:
        folder: with a card and a model, see `card`; by default where `find_model` looks.
        settings: of the engine.
        report: hears what is being built.

    Raises:
        ConfigurationError: no model, or one that cannot be used as its card says.
    """

    name = "network"

    def __init__(
        self,
        folder: str = "",
        settings: EngineSettings | None = None,
        report: Report = log.info,
    ) -> None:
        self.model, self.card = find_model(folder)
        self._engine = tool_engine(self.model, self.card, settings, report)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """What runs the network."""
        return (self._engine,)

    def reset(self) -> None:
        """Nothing is remembered."""

    def segment(self, frame: Frame) -> ToolMask:
        """Tools in the image, with probabilities, and with parts where the network has them."""
        shape = frame.image.shape[:2]
        if reason := unlit(frame.image):
            return ToolMask.unusable(shape, self.name, frame.stamp, reason)
        if not self.card.grey and (reason := colourless(frame.image)):
            reason += ", and the network was trained on coloured ones"
            return ToolMask.unusable(shape, self.name, frame.stamp, reason)
        outputs = self._engine.run({"image": as_tensor(frame.image, self.card)})
        if not all(np.isfinite(values).all() for values in outputs.values()):
            reason = "network returned numbers that are not finite"
            return ToolMask.unusable(shape, self.name, frame.stamp, reason)
        tool, parts = own_result(outputs) if self.card.own else card_result(outputs, self.card)
        probability = cv2.resize(tool, shape[::-1], interpolation=cv2.INTER_LINEAR)
        mask = probability > self.card.threshold
        if reason := implausible(mask):
            return ToolMask.unusable(shape, self.name, frame.stamp, reason)
        if parts is not None:
            parts = cv2.resize(parts, shape[::-1], interpolation=cv2.INTER_NEAREST) * mask
        return ToolMask(mask, self.name, frame.stamp, probability=probability, parts=parts)


def as_tensor(image: np.ndarray, card: ModelCard) -> np.ndarray:
    """(1, 3, h, w) float32 as the card wants it, of an (H, W, 3) uint8 RGB image."""
    small = cv2.resize(image, card.input_size[::-1], interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32) / 255
    if any(card.mean) or set(card.deviation) != {1.0}:
        values = (values - np.float32(card.mean)) / np.float32(card.deviation)
    if card.order == "bgr":
        values = values[..., ::-1]
    axes = (2, 1, 0) if card.transposed else (2, 0, 1)
    return np.ascontiguousarray(values.transpose(axes)[None])


def own_result(outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) float32 probability of a tool and (h, w) uint8 index into PARTS."""
    parts = 1 + outputs["parts"][0, 1:].argmax(axis=0)  # the binary head decides what is tissue
    return sigmoid(outputs["tool"][0, 0]), parts.astype(np.uint8)


def card_result(
    outputs: dict[str, np.ndarray], card: ModelCard
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same from one output whose channels a card names; parts only where it names some."""
    scores = outputs["scores"][0]
    if card.transposed:
        scores = scores.transpose(0, 2, 1)
    if card.activation == "softmax":
        scores = np.exp(scores - scores.max(axis=0))
        scores /= scores.sum(axis=0)
    elif card.activation == "sigmoid":
        scores = sigmoid(scores)
    instrument = [i for i, name in enumerate(card.channels) if name in (TOOL, *PARTS[1:])]
    known = [i for i in instrument if card.channels[i] != TOOL]
    combine = np.sum if card.activation == "softmax" else np.max
    tool = np.ascontiguousarray(combine(scores[instrument], axis=0), np.float32)
    if not known:
        return tool, None
    numbers = np.array([PARTS.index(card.channels[i]) for i in known], np.uint8)
    return tool, numbers[scores[known].argmax(axis=0)]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))
