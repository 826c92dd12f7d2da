"""The main job on real surgical video: a stereo clip through the live node over DDS."""

from __future__ import annotations

import numpy as np
import pytest
from node_harness import LEFT, STEREO_TOPICS

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.inputs.encodings import decode_depth
from endosfm3d_ros.nodes.messages.conversions import matrix_of, nanoseconds


@pytest.mark.shared
def test_every_stamp_of_a_real_clip_comes_back_with_metric_depth(shared, start_node, probe):
    clip = open_sequence(shared / "data" / "scared_seq", start=10**9)
    start_node()
    probe.connect(*STEREO_TOPICS)
    stamps = []
    for frame in clip:
        probe.send_stereo(frame)
        stamps.append(frame.stamp)
        assert probe.answered(frame.stamp)
    assert probe.stamps("depth/image") == stamps
    assert probe.stamps("camera_info") == stamps
    poses = probe.transforms(LEFT)
    assert [nanoseconds(pose.header.stamp) for pose in poses] == stamps
    errors, coverage = [], []
    for i, message in enumerate(probe.messages["depth/image"]):
        reference = clip.reference_depth(i)
        if reference is None:
            continue
        names = ("data", "encoding", "height", "width", "step", "is_bigendian")
        depth = decode_depth(**{name: getattr(message, name) for name in names})
        both = np.isfinite(reference) & np.isfinite(depth)
        coverage.append(both.sum() / np.isfinite(reference).sum())
        errors.append(np.median(np.abs(depth - reference)[both] / reference[both]))
    assert np.mean(errors) < 0.006
    assert np.min(coverage) > 0.85
    positions = np.array([matrix_of(pose.transform)[:3, 3] for pose in poses])
    truth = np.array([clip.reference_pose(i)[:3, 3] for i in range(len(clip))])
    rmse = np.sqrt(((positions - truth) ** 2).sum(axis=1).mean())
    assert rmse < 0.001
