"""Capsules with frozen shapes on a real clip of two moving tools."""

import json

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.models.capsule import CapsuleSource
from endosfm3d_ros.tools.opjpo import make_aligner
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolObservation

MIN_PIXELS = 500  # of a tool outside the area that is not scored


def test_two_tools_are_followed_through_the_whole_clip(shared):
    clip = shared / "data" / "endonerf"
    given = json.loads((clip / "camera.json").read_text())
    camera = PinholeCamera(*given["image_size"], *(given[k] for k in ("fx", "fy", "cx", "cy")))
    scored = set(np.loadtxt(clip / "mask_valid.txt", int))
    aligners, last, overlaps, scales = {}, {}, [], []
    for path in sorted((clip / "instances").iterdir()):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        ignored = cv2.imread(str(clip / "ignore" / path.name), cv2.IMREAD_UNCHANGED) > 0
        for tool in (1, 2):
            mask = labels == tool
            if np.count_nonzero(mask & ~ignored) < MIN_PIXELS:
                continue
            others = ((labels > 0) & ~mask) | ignored
            observation = ToolObservation(mask, camera, occluder=others)
            if tool not in aligners:
                aligners[tool] = make_aligner("joint", CapsuleSource().model(observation))
            placement = aligners[tool].place(observation, last.get(tool))
            last[tool] = placement
            model = aligners[tool].model
            solid = silhouette(placement.points(model.vertices), model.faces, camera)
            scales.append(placement.scale)
            if int(path.stem) in scored:
                overlaps.append(overlap(solid & ~ignored, mask & ~ignored))
    assert np.mean(overlaps) > 0.75
    assert np.ptp(scales) < 0.02  # the shaft keeps its diameter
