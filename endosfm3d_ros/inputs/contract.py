"""Which camera belongs to the pixels of one stream; live and recorded input ask the same object.

A camera_info describes the raw image by K and D, and the rectified one by P. Which of them the
images are is told by the topic's name (`image_rect*`) and, for a pair, by the images themselves:
rows agree as they are, or only after rectification.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs import cameras
from endosfm3d_ros.inputs.judging import CURE, Verdict, differ, judge_pair
from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.types import StereoGeometry

RAW = re.compile(r"(?:^|[/_])(?:raw|color|colour|mono)(?:[/_]|$)", re.IGNORECASE)
RECTIFIED = re.compile(r"(?:^|[/_])(?:rect|rectified)(?:[/_]|$)", re.IGNORECASE)
ASKED, EVERY = 50, 5  # pairs, of which each so-many-th is looked at until one tells
UNSEEN = "no pair has shown yet whether it is rectified"
MEND = "correct the calibration file or the driver that sends it"
CHANGED = 0.02  # of fx * baseline: a new calibration, not rounding
SAME, ALIKE = 1e-6, 1e-3  # relative: rounding of drivers, and what leaves a look at a pair valid
NUMBERS = ("d", "k", "r", "p")
OTHERS = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")


def is_rectified(topic: str) -> bool:
    """Whether the name of an image topic says that its images are rectified."""
    return bool(RECTIFIED.search(topic))


@dataclass(frozen=True)
class EyeTopics:
    """What the inputs of one eye are called."""

    image: str
    info: str


class CameraContract:
    """Joins calibration and images of one stream.

    Feed it camera_infos, the size of the images and, for a pair, images until `decided`; read
    `camera` and `stereo`. A calibration that cannot be used is None here and REFUSED in the report.

    Args:
        left: names of the left (or only) eye's topics.
        right: names of the right eye's topics.
        report: hears what was converted, assumed or refused.
    """

    def __init__(
        self,
        left: EyeTopics,
        right: EyeTopics | None = None,
        report: InputReport | None = None,
    ) -> None:
        self.report = report or InputReport()
        self.camera: PinholeCamera | None = None
        self.stereo: StereoGeometry | None = None
        self.conflict = ""  # why frames must wait: a calibration that contradicts the scene's
        self._infos: dict[str, Any] = {}
        self._size: tuple[int, int] | None = None
        self._used: StereoGeometry | None = None  # what frames of this scene were given
        self._topics: dict[str, EyeTopics] = {}
        self.set_topics(left, right)

    def set_topics(self, left: EyeTopics, right: EyeTopics | None = None) -> bool:
        """The names that messages come under, which may become known late; whether any is new."""
        topics = {"left": left, "right": right or left}
        if topics == self._topics:
            return False
        for name in self._topics.values():
            for key in ("camera", "pair", "changed", "reading", "rectified"):
                self.report.settle(name.info, key)
        self._topics = topics
        self._asked = 0
        self._verdict: Verdict | None = None
        self._build()
        return True

    def set_info(self, eye: str, info: Any) -> bool:
        """Take a camera_info of the eye "left" or "right"; whether it says anything new.

        What is damaged or empty does not replace what can be used.
        """
        known, topic = self._infos.get(eye), self._topics[eye].info
        if known is not None:
            if same_info(known, info, SAME):
                self.report.settle(topic, "message")
                return False
            if self._is_damaged(eye, info) and not self._is_damaged(eye, known):
                return False
        self.report.settle(topic, "message")
        self._infos[eye] = info
        if known is None or not same_info(known, info, ALIKE):
            self._asked, self._verdict = 0, None
        self._build()
        return True

    def _is_damaged(self, eye: str, info: Any) -> bool:
        """Whether no camera can be made of a message; told where it would replace another one."""
        topic = self._topics[eye].info
        try:
            # At its own size: one that belongs to images to come is not damaged.
            camera = cameras.camera_from_info(info, None, rectified=self.rectified)
        except InputError as error:
            sentence = (
                f"{str(error).removeprefix('camera_info').strip()}; the last good one is kept"
            )
            self.report.refused(topic, "message", sentence, severity=Severity.WARN)
            return True
        if camera is None:
            sentence = "says K[0] = 0 (not calibrated); the last good one is kept"
            self.report.refused(topic, "message", sentence, severity=Severity.WARN)
        return camera is None

    def set_size(self, size: tuple[int, int]) -> bool:
        """(width, height) of the images; whether it is new."""
        if size == self._size:
            return False
        self._size = size
        self._build()
        return True

    @property
    def _told(self) -> bool:
        """Whether the name says what the images are."""
        name = self._topics["left"].image
        return is_rectified(name) or bool(RAW.search(name))

    def has(self, eye: str) -> bool:
        """Whether a camera_info of this eye came."""
        return eye in self._infos

    @property
    def rectified(self) -> bool:
        """Whether the images are read as rectified ones."""
        if self._verdict is not None:
            return self._verdict.rectified
        return is_rectified(self._topics["left"].image)

    @property
    def _clear(self) -> bool:
        """Whether images have told how they are to be read."""
        return self._verdict is not None and self._verdict.clear

    @property
    def decided(self) -> bool:
        """Whether looking at a pair can change nothing any more."""
        both = self.has("left") and self.has("right")
        return not both or self._clear or self._asked >= ASKED

    @property
    def pending(self) -> bool:
        """Whether there may be a pair once its images have been looked at."""
        return self.stereo is None and not self._told and not self.decided

    def judge(self, left: np.ndarray, right: np.ndarray) -> bool:
        """Look at a pair of (H, W, 3) images; whether camera and pair have changed by it."""
        if self.decided:
            return False
        self._asked += 1
        if self._asked % EVERY != 1:
            return False
        verdict = self._verdict_of(left, right)
        if verdict is None:
            return False
        before, self._verdict = (self.rectified, self.stereo is None), verdict
        self._tell(verdict)
        self._build()
        return before != (verdict.rectified, self.stereo is None)

    def _verdict_of(self, left: np.ndarray, right: np.ndarray) -> Verdict | None:
        """How these images are to be read; None where they do not tell, or there is no pair."""
        by_name = is_rectified(self._topics["left"].image)
        try:
            raw, rectified = (self._pair(reading) for reading in (False, True))
        except InputError:
            return None  # told where it was built
        if raw is None or rectified is None:
            return None
        if not differ(raw, rectified):
            return Verdict(by_name)
        return judge_pair(left, right, raw, rectified, by_name)

    def _tell(self, verdict: Verdict) -> None:
        topic = self._topics["left"].image
        if not verdict.words:
            self.report.settle(topic, "reading")
        elif verdict.clear:
            self.report.converted(topic, "reading", verdict.words, verdict.cure)
        elif self._told:
            how = "rectified" if is_rectified(topic) else "raw"
            self.report.assumed(topic, "reading", f"{verdict.words}, the name does: {how}")

    def use(self) -> StereoGeometry | None:
        """The pair for a frame that is handed on; from now on the scene rests on it."""
        if self.stereo is not None:
            self._used = self.stereo
        return self.stereo

    def new_scene(self) -> None:
        """What comes next need not agree with what was."""
        self._used, self.conflict = None, ""
        self.report.settle(self._topics["right"].info, "changed")
        self._build()

    def _build(self) -> None:
        """Camera and pair of what is known now."""
        left, right = self._infos.get("left"), self._infos.get("right")
        self.camera = self._attempt("camera", self._topics["left"], self._left) if left else None
        both = left is not None and right is not None
        self.stereo = self._attempt("pair", self._topics["right"], self._current) if both else None
        self._compare()

    def _left(self) -> PinholeCamera | None:
        return cameras.camera_from_info(
            self._infos["left"],
            self._size,
            rectified=self.rectified,
            report=self.report,
            topic=self._topics["left"].info,
        )

    def _current(self) -> StereoGeometry | None:
        names = [self._topics[eye].image for eye in ("left", "right")]
        if is_rectified(names[0]) != is_rectified(names[1]):
            raise InputError(
                f"of {names[0]} and {names[1]} one says that it is rectified, the other not: both "
                "eyes must be alike"
            )
        if not self._told and not self._clear:
            words = self._verdict.words if self._verdict else UNSEEN
            raise InputError(f"{names[0]}: {words}; {CURE}")
        return self._pair(self.rectified, self.report)

    def _pair(self, rectified: bool, report: InputReport | None = None) -> StereoGeometry | None:
        return cameras.stereo_from_infos(
            self._infos["left"],
            self._infos["right"],
            self._size,
            rectified=rectified,
            report=report,
            topics=(self._topics["left"].info, self._topics["right"].info),
        )

    def _attempt(self, key: str, topics: EyeTopics, make: Any) -> Any:
        """What can be made of the messages; a refusal is told, and lasts as long as it holds."""
        try:
            made = make()
        except InputError as error:
            sentence = str(error).removeprefix(topics.info).strip()
            told = f"{sentence}; it is not used"
            self.report.refused(topics.info, key, told, MEND, Severity.WARN)
            return None
        self.report.settle(topics.info, key)
        return made

    def _compare(self) -> None:
        """A scene keeps the metres that it began with: another calibration must wait."""
        used, now, topic = self._used, self.stereo, self._topics["right"].info
        if used is None:
            return
        if now is None:
            self.conflict = "the calibration of the pair cannot be used any more"
            self.report.refused(topic, "changed", self.conflict, "send one that can be used")
            return
        was, becomes = (pair.P_left[0, 0] / pair.left.width * pair.baseline for pair in (used, now))
        if abs(becomes / was - 1) <= CHANGED:
            self.conflict = ""
            self.report.settle(topic, "changed")
            return
        self.conflict = (
            f"calibration changed within a scene: baseline {used.baseline * 1e3:.2f} to "
            f"{now.baseline * 1e3:.2f} mm, focal length {used.P_left[0, 0]:.1f} to "
            f"{now.P_left[0, 0]:.1f} px; {CHANGED:.0%} are accepted"
        )
        self.report.refused(
            topic, "changed", self.conflict, "call reset to begin a scene with the new one"
        )


def same_info(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Whether two camera_infos say the same, whatever their headers; up to a relative tolerance."""
    for name in NUMBERS:
        ours, theirs = (np.asarray(getattr(one, name), np.float64) for one in (a, b))
        if ours.shape != theirs.shape or not np.allclose(
            ours, theirs, rtol=tolerance, atol=tolerance * 1e-3, equal_nan=True
        ):
            return False
    return all(getattr(a, name) == getattr(b, name) for name in OTHERS)
