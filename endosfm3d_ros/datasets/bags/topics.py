"""Which topic of a bag is what, by message type and name.

Names follow image_pipeline and the dVRK: `<ns>/left/image_raw`, beside it `camera_info`, and
`right` for the other eye. A topic is a reference only when its name says so (`reference`,
`ground_truth` or `gt`), so that a recorded estimate is never taken for the truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.contract import is_rectified

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
POSE_TYPES = (
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/TransformStamped",
    "nav_msgs/msg/Odometry",
)


def _word(pattern: str) -> re.Pattern[str]:
    """A word between the slashes and underscores of a name."""
    return re.compile(rf"(?:^|[/_])(?:{pattern})(?:[/_]|$)", re.IGNORECASE)


LEFT, RIGHT = _word("left|camera_?l"), _word("right|camera_?r")
REFERENCE = _word("reference|ground_?truth|gt")
ROBOT_POSE = re.compile(r"(?:^|/)ECM\d*/measured_cp$", re.IGNORECASE)
DEPTH, IGNORE = _word("depth"), _word("ignore")
OWN = re.compile(r"^/endosfm3d/")  # depth that this package has published
MASK = _word("masks?|labels?|instances")
TOOL_MASK = _word("tool_mask")
NO_PICTURE = _word(
    "depth|compressedDepth|disparity|masks?|labels?|instances|confidence|ignore|ir|theora|"
    "tissue|tools|debug"  # pictures that a pipeline has made
)


@dataclass(frozen=True)
class BagTopics:
    """Topic names; None where the bag has no such topic."""

    left: str
    right: str | None
    left_info: str | None
    right_info: str | None
    depth: str | None
    mask: str | None
    ignore: str | None
    poses: str | None

    @property
    def stamped(self) -> tuple[str, ...]:
        """Those whose messages belong to a frame by their stamp."""
        names = (self.left, self.right, self.depth, self.mask, self.ignore, self.poses)
        return tuple(name for name in names if name)

    @property
    def infos(self) -> tuple[str, ...]:
        """Those with calibration."""
        return tuple(name for name in (self.left_info, self.right_info) if name)


def find_topics(
    types: Mapping[str, str],
    given: Mapping[str, str | None],
    silent: Mapping[str, str] = MappingProxyType({}),
    both_eyes: bool = False,
) -> BagTopics:
    """Sort the topics of a bag.

    Args:
        types: message type by topic, of topics with messages.
        given: topic by role (left, right, depth, mask, poses) where the names do not say it; ""
            leaves the role empty, None finds a topic.
        silent: those that the bag lists without messages.
        both_eyes: the left topic holds the pictures of both eyes.

    Raises:
        InputError: a given topic that is not in the bag or of another type, no image topic, or
            several of which none, or more than one, is called left.
    """
    for role, name in given.items():
        _require_topic(types, silent, role, name)
    left = given["left"] or _left(types, silent)
    right = None if both_eyes else _chosen(given["right"], lambda: _right(types, left))
    named = [name for name, kind in types.items() if kind == CAMERA_INFO and RIGHT.search(name)]
    right_info = next(iter(named), None) if both_eyes else None
    return BagTopics(
        left=left,
        right=right,
        left_info=_info(types, left, LEFT),
        right_info=_info(types, right, RIGHT) if right else right_info,
        depth=_chosen(given["depth"], lambda: _reference(types, DEPTH)),
        mask=_chosen(given["mask"], lambda: _mask(types)),
        ignore=_reference(types, IGNORE),
        poses=_chosen(given["poses"], lambda: _poses(types)),
    )


def pictures(types: Mapping[str, str]) -> list[str]:
    """Colour images, the preferred ones first: raw before compressed, unrectified, short names."""
    names = [
        name
        for name, kind in types.items()
        if kind in (IMAGE, COMPRESSED) and not NO_PICTURE.search(name)
    ]

    def rank(name: str) -> tuple:
        return types[name] == COMPRESSED, is_rectified(name), len(name), name

    return sorted(names, key=rank)


def robot_poses(types: Mapping[str, str]) -> list[str]:
    """Poses that a robot reports of its endoscope (CRTK), in either of the types it has used."""
    return sorted(
        name for name, kind in types.items() if kind in POSE_TYPES and ROBOT_POSE.search(name)
    )


def _require_topic(
    types: Mapping[str, str], silent: Mapping[str, str], role: str, name: str | None
) -> None:
    """Refuse a named topic that cannot play its role."""
    if not name:
        return
    if name in silent:
        raise InputError(f"topic {name!r} for {role} is listed, but has no messages")
    if name not in types:
        raise InputError(f"no topic {name!r} for {role}: the bag has {', '.join(types)}")
    accepted = (*POSE_TYPES, TF) if role == "poses" else (IMAGE, COMPRESSED)
    if types[name] not in accepted:
        raise InputError(
            f"topic {name!r} for {role} is of {types[name]}: accepted are {', '.join(accepted)}"
        )


def _chosen(given: str | None, find: Callable[[], str | None]) -> str | None:
    return find() if given is None else given or None


def _left(types: Mapping[str, str], silent: Mapping[str, str]) -> str:
    found = pictures(types)
    named = [name for name in found if LEFT.search(name)]
    others = [name for name in found if not RIGHT.search(name)]
    rigs = {_rig(name, LEFT) for name in named}
    if len(rigs) > 1:
        raise InputError(
            f"image topics {', '.join(named)}: those of several cameras are called left, so one "
            "has to be named (--input left=TOPIC)"
        )
    if not named and len({_base(name) for name in others}) > 1:
        raise InputError(
            f"image topics {', '.join(others)}: none is called left, so one has to be named "
            "(--input left=TOPIC, and --input right=TOPIC for a pair)"
        )
    if found and not (named or others):
        raise InputError(
            f"image topics {', '.join(found)}: all are called right, so one has to be named "
            "(--input left=TOPIC)"
        )
    if not (named or others):
        mute = pictures(silent)
        without = f"; without a message: {', '.join(mute)}" if mute else ""
        has = ", ".join(f"{name} ({kind})" for name, kind in types.items()) or "no messages"
        raise InputError(f"no image topic: the bag has {has}{without}")
    return (named or others)[0]


def left_out(types: Mapping[str, str], topics: BagTopics) -> Iterator[tuple[str, str, str]]:
    """(topic, sentence, cure) of what looks like an input and is none of `topics`."""
    if topics.right is None:
        for name in pictures(types):
            if RIGHT.search(name) and _rig(name, RIGHT) == _rig(topics.left, LEFT):
                yield name, f"not taken as the right eye of {topics.left}", (
                    "of both eyes either raw or rectified images are needed; or name it: "
                    f"--input right={name}"
                )  # fmt: skip
    used, eyes = set(topics.infos), [topics.left, *([topics.right] if topics.right else [])]
    for eye, info in zip(eyes, (topics.left_info, topics.right_info)):
        free = [name for name, kind in types.items() if kind == CAMERA_INFO and name not in used]
        if info is None and free:
            yield eye, f"without calibration; there is one on {', '.join(free)}", (
                "record it as camera_info beside its images"
            )  # fmt: skip
        elif info is None and len(eyes) > 1:
            yield eye, "without calibration: no metres from this pair", (
                "record the camera_info of both eyes"
            )  # fmt: skip
    for name, kind in types.items():
        depth = kind in (IMAGE, COMPRESSED) and DEPTH.search(name) and name != topics.depth
        if depth and not OWN.search(name):
            yield name, "depth: not used as reference unless it is named", (
                f"--input depth={name}, if it is of the pixels of {topics.left}"
            )  # fmt: skip


def _right(types: Mapping[str, str], left: str) -> str | None:
    """The right image called like the left one, else the best one of the same camera."""
    rig, rectified = _rig(left, LEFT), is_rectified(left)
    named = [
        name
        for name in pictures(types)
        if rig is not None and _rig(name, RIGHT) == rig and is_rectified(name) == rectified
    ]
    same = [name for name in named if _after(name, RIGHT) == _after(left, LEFT)]
    return next(iter(same or named), None)


def _rig(name: str, eye: re.Pattern[str]) -> str | None:
    """The part of a name before that of the eye; None where no eye is named."""
    found = eye.search(name)
    return name[: found.start()] if found else None


def _after(name: str, eye: re.Pattern[str]) -> str:
    """The part of a name behind that of the eye, whatever the transport."""
    found = eye.search(name)
    return _base(name[found.end() :] if found else name)


def _base(image: str) -> str:
    return image.removesuffix("/compressed")


def _info(types: Mapping[str, str], image: str, eye: re.Pattern[str]) -> str | None:
    """The camera_info beside an image, or the only one of that eye."""
    infos = [name for name, kind in types.items() if kind == CAMERA_INFO]
    folder = _base(image).rpartition("/")[0]
    beside = [name for name in infos if name.rpartition("/")[0] == folder]
    of_eye = [name for name in infos if eye.search(name)]
    both = [name for name in beside if name in of_eye]
    found = both or beside or of_eye
    return found[0] if len(found) == 1 else next(iter(_named(found, "camera_info")), None)


def _named(names: Iterable[str], last: str) -> list[str]:
    return [name for name in names if name.rpartition("/")[2] == last]


def _reference(types: Mapping[str, str], what: re.Pattern[str]) -> str | None:
    names = [
        name
        for name, kind in types.items()
        if kind in (IMAGE, COMPRESSED) and REFERENCE.search(name) and what.search(name)
    ]
    return min(names, key=lambda name: types[name] == COMPRESSED, default=None)


def _mask(types: Mapping[str, str]) -> str | None:
    """A reference, or the pipeline's own input: what it was told is no estimate of it."""
    kinds = (IMAGE, COMPRESSED)
    inputs = [name for name, kind in types.items() if kind in kinds and TOOL_MASK.search(name)]
    given = min(inputs, key=lambda name: types[name] == COMPRESSED, default=None)
    return _reference(types, MASK) or given


def _poses(types: Mapping[str, str]) -> str | None:
    named = [name for name, kind in types.items() if kind in POSE_TYPES and REFERENCE.search(name)]
    transforms = [name for name, kind in types.items() if kind == TF]
    found = named or _named(transforms, "tf")
    return found[0] if found else None
