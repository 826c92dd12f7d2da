"""Masks and models of instruments, scored on a clip whose masks are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.sequence import Sequence, stamp_of
from endosfm3d_ros.evaluation.evaluate import EvaluationConfig, evaluate
from endosfm3d_ros.evaluation.parts.masks import MasksPart
from endosfm3d_ros.evaluation.runs.tool_rendering import PlacedMesh, drawn, splatted
from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol, evaluate_tools, overlap_within
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.networks.lpips import LAYERS, Lpips
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.types import Frame

CAMERA = PinholeCamera(320, 256, 280.0, 280.0, 160.0, 128.0)
STEEL, TISSUE = (120, 130, 140), (170, 80, 60)


class ToolClip(Sequence):
    """Grey shafts over red tissue; masks, instances, and a corner that is not to be scored."""

    name, fps, camera = "tools", 10.0, CAMERA

    def __len__(self) -> int:
        return 6

    def __iter__(self):
        for i in range(len(self)):
            image = np.empty((256, 320, 3), np.uint8)
            image[:] = TISSUE
            image[self.mask(i)] = STEEL
            image[::2] += 8  # no picture of a model is perfect
            yield Frame(stamp_of(i, self.fps), image, camera=CAMERA)

    def instances(self, i: int) -> np.ndarray:
        plane = np.zeros((256, 320), np.uint8)
        cv2.line(plane, (340, 230), (190 + 2 * i, 140), 2, 34)
        cv2.line(plane, (-20, 60), (100, 70 + 2 * i), 1, 26)
        return plane

    def mask(self, i: int) -> np.ndarray:
        return self.instances(i) > 0

    def ignore(self, i: int) -> np.ndarray:
        corner = np.zeros((256, 320), bool)
        corner[:20, :20] = True
        return corner

    def mask_valid(self, i: int) -> bool:
        return i != 3


@pytest.fixture(scope="module")
def result():
    seen = []
    result = evaluate_tools(ToolClip(), ToolsProtocol(sfm=EstimatorConfig("shading")), seen.append)
    assert [frame.i for frame in seen] == [0, 1, 2, 4, 5]
    return result


def test_capsules_cover_shafts(result):
    assert np.mean(result.columns["iou_mean"]) > 0.85
    assert np.mean(result.columns["iou_each_tool"]) > 0.8
    assert len(result.columns["iou_each_tool"]) == 10
    assert np.mean(result.columns["iou_remade_each_frame"]) > 0.85
    assert np.mean(result.columns["psnr"]) > 15
    assert np.min(result.columns["ssim"]) >= -1 and len(result.columns["released_psnr"]) == 5
    assert len(result.align_ms) == 10  # two tools, first placements apart
    assert "lpips" not in result.columns


def test_an_unplaced_tool_counts_as_a_miss_and_says_why():
    protocol = ToolsProtocol(alignment="paper", sfm=EstimatorConfig("shading"))
    result = evaluate_tools(ToolClip(), protocol)  # shading has no metres, so no tissue depth
    assert np.mean(result.columns["iou_mean"]) == 0
    assert result.notes == {"no tissue depth"}


def test_the_report_has_both_parts():
    config = EvaluationConfig(
        what=("masks", "tools"),
        pipeline=PipelineConfig(
            sfm=EstimatorConfig("shading"), tools=ToolsConfig("colour", in_background=False)
        ),
    )
    report = evaluate(ToolClip(), config).as_json()
    assert report["masks"]["source"] == "colour" and report["tools"]["source"] == "capsule"
    assert report["masks"]["iou_mean"] > 0.9 and report["masks"]["id_switches"] == 0
    assert report["frames_scored"] == {"masks": 5, "tools": 5}
    assert {"iou_mean", "psnr", "ssim", "align_ms_p50", "align"} <= report["tools"].keys()


def test_identities_that_change_are_counted(make_update):
    from types import SimpleNamespace

    clip = ToolClip()
    part = MasksPart(clip, Pipeline(PipelineConfig(sfm=EstimatorConfig("shading"))))
    for i, ids in enumerate([(1, 2), (1, 2), (2, 1), (2, 1), (2, 1), (3, 1)]):
        labels = np.choose(clip.instances(i), (0, *ids)).astype(np.uint8)
        tracks = SimpleNamespace(segmented=labels > 0, labels=labels)
        part.add(i, SimpleNamespace(tools=SimpleNamespace(tracks=tracks, mask_source="topic")))
    part.settle()
    assert part.scores().values["id_switches"] == 3
    assert part.scores().values["iou_mean"] == 1


def test_masks_need_the_stage_that_makes_them():
    from endosfm3d_ros.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="must look for tools"):
        EvaluationConfig(what=("masks",))


def test_overlap_of_nothing_is_no_number():
    empty = np.zeros((4, 4), bool)
    assert np.isnan(overlap_within(empty, empty, ~empty))


def test_triangles_and_points_show_the_nearer_surface():
    near, far = 0.05, 0.08
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float) * 0.01
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    meshes = [
        PlacedMesh(square + np.array([0, 0, z]), faces, np.full((4, 3), grey, np.uint8))
        for z, grey in ((near, 200), (far, 90))
    ]
    image = drawn(meshes, CAMERA)
    assert image[128, 160].tolist() == [200, 200, 200] and not image[0, 0].any()
    points, covered = splatted(meshes, CAMERA)
    assert points[128, 160].tolist() == [200, 200, 200] and covered[128, 160]
    assert covered.sum() == pytest.approx((2 * 280 * 0.01 / near) ** 2, rel=0.1)


class TestLpips:
    @pytest.fixture
    def weights(self, tmp_path):
        import torch

        torch.manual_seed(0)
        state = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
        for k, (index, width, channels, kernel, *_) in enumerate(LAYERS):
            state[f"net.slice{k + 1}.{index}.weight"] = 0.05 * torch.randn(
                channels, width, kernel, kernel
            )
            state[f"net.slice{k + 1}.{index}.bias"] = torch.zeros(channels)
            state[f"lin{k}.model.1.weight"] = torch.rand(1, channels, 1, 1)
        path = tmp_path / "lpips.pth"
        torch.save(state, path)
        return path

    def test_equal_pictures_have_no_distance_and_worse_ones_more(self, weights):
        metric = Lpips.load(weights)
        generator = np.random.default_rng(0)
        picture = generator.integers(0, 255, (70, 80, 3), np.uint8)
        noise = generator.normal(0, 1, picture.shape)
        worse = [np.clip(picture + s * noise, 0, 255).astype(np.uint8) for s in (10, 60)]
        distances = [metric.distance(picture, other) for other in (picture, *worse)]
        assert distances[0] == pytest.approx(0, abs=1e-6)
        assert distances[0] < distances[1] < distances[2]
        assert metric.distance(picture[:9, :9], worse[1][:9, :9]) > 0

    def test_the_columns_appear_with_weights_only(self, weights):
        protocol = ToolsProtocol(lpips=Lpips.load(weights).distance, sfm=EstimatorConfig("shading"))
        columns = evaluate_tools(ToolClip(), protocol).columns
        assert len(columns["lpips"]) == len(columns["released_lpips"]) == 5

    def test_another_file_is_refused(self, tmp_path):
        import torch

        from endosfm3d_ros.errors import ConfigurationError

        path = tmp_path / "other.pth"
        torch.save({"weight": torch.zeros(3)}, path)
        with pytest.raises(ConfigurationError, match=r"net\.slice1\.0\.weight"):
            Lpips.load(path)
