"""Calibration that belongs to other pixels: checked, converted, or refused with numbers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from plane_scene import Plane, Rig, Sampling, eyes, info, infos, picture

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import FISHEYE, PinholeCamera
from endosfm3d_ros.inputs.cameras import camera_from_info
from endosfm3d_ros.inputs.contract import CameraContract, EyeTopics, is_rectified
from endosfm3d_ros.inputs.depth_camera import require_depth_camera
from endosfm3d_ros.inputs.plausibility import require_depth_fits
from endosfm3d_ros.inputs.report import Action, Severity
from endosfm3d_ros.sfm.depth.stereo import StereoSource
from endosfm3d_ros.types import Frame

SECOND = 10**9
BARREL = (-0.3, 0.1, 0.0, 0.0, 0.0)
CAMERA = PinholeCamera(320, 256, 280.0, 280.0, 160.0, 127.0, BARREL)
STRAIGHT = replace(CAMERA, distortion=())
TURN = se3.from_vectors(np.array([0.02, 0.0, 0.01]), np.zeros(3))[:3, :3]
RIG = Rig(CAMERA, replace(CAMERA, cx=163.0), TURN)
RAW = (EyeTopics("/left/image_raw", "/left/info"), EyeTopics("/right/image_raw", "/right/info"))
RECT = (EyeTopics("/left/image_rect", "/left/info"), EyeTopics("/right/image_rect", "/right/info"))
IDENTITY = np.eye(3), np.column_stack([STRAIGHT.K, np.zeros(3)])


def contract_of(topics=RAW, sent=None, size=(320, 256)) -> CameraContract:
    contract = CameraContract(*topics)
    contract.set_size(size)
    for eye, message in zip(("left", "right"), infos(RIG) if sent is None else sent):
        contract.set_info(eye, message)
    return contract


def depth_of_pair(contract: CameraContract, left, right, stamp=1, source=None) -> np.ndarray:
    frame = Frame(stamp, left, right_image=right, stereo=contract.stereo, camera=contract.camera)
    return (source or StereoSource()).estimate(frame, contract.stereo.left).depth


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/left/image_rect_color", True),
        ("/cam/image_rect/compressed", True),
        ("/stereo/left/rectified/image", True),
        ("/left/image_raw", False),
        ("/direct/image_color", False),
        ("/rectum/left/image_raw", False),
    ],
)
def test_names_that_say_rectified(name, told):
    assert is_rectified(name) == told


@pytest.mark.parametrize("topics", [RAW, RECT])
@pytest.mark.parametrize("rectified", [True, False])
def test_the_rows_of_a_pair_overrule_a_name_that_is_wrong(topics, rectified):
    """All four combinations of what the images are and what their topic says."""
    plane = Plane(0.04)
    left, right = eyes(RIG, plane, rectified)
    contract = contract_of(topics)
    named = is_rectified(topics[0].image)
    changed = contract.judge(left, right)
    assert contract.rectified == rectified and changed == (named != rectified)
    told = [e for e in contract.report.entries if "rows of the eyes agree" in e.sentence]
    assert bool(told) == (named != rectified)
    depth = depth_of_pair(contract, left, right)
    assert np.nanmedian(depth) == pytest.approx(0.04, rel=0.01)


@pytest.mark.parametrize("name", ["image_raw", "image_rect", "image"])
def test_where_rows_do_not_tell_the_name_does_or_there_is_no_pair(name):
    """Eyes in line whose lenses bend little: nearly alike raw and rectified, and not in depth."""
    lens = replace(CAMERA, distortion=(-0.02, 0.0, 0.0, 0.0, 0.0))
    left, right = infos(Rig(lens, lens))
    for message in (left, right):
        P = message.p.reshape(3, 4).copy()
        P[:2, :2] *= 0.9  # rectified with another focal length
        P[0, 3] *= 0.9
        message.p = P.ravel()
    topics = [EyeTopics(f"/{eye}/{name}", f"/{eye}/info") for eye in ("left", "right")]
    contract = contract_of(topics, (left, right))
    pictures = eyes(Rig(lens, lens), Plane(0.04), rectified=False)
    contract.judge(*pictures)
    assert (contract.stereo is None) == (name == "image")
    assert contract.rectified == (name == "image_rect")
    (entry,) = [e for e in contract.report.entries if "this does not decide" in e.sentence]
    assert entry.severity == (Severity.WARN if name == "image" else Severity.NOTE)


def test_a_rectified_eye_alone_is_that_of_p():
    contract = CameraContract(EyeTopics("/cam/image_rect", "/cam/info"))
    contract.set_size((320, 256))
    P = np.column_stack([np.array([[300, 0, 150], [0, 300, 110], [0, 0, 1.0]]), np.zeros(3)])
    contract.set_info("left", info(CAMERA, np.eye(3), P))
    camera = contract.camera
    assert (camera.fx, camera.cx, camera.cy, camera.distortion) == (300, 150, 110, ())


def test_one_rectified_and_one_raw_eye_are_no_pair():
    contract = contract_of((RECT[0], RAW[1]))
    assert contract.stereo is None and contract.camera is not None
    assert "both eyes must be alike" in contract.report.entries[0].sentence


# --- size, crop, binning ---------------------------------------------------------------------


def one_eye(size=None, sampling=None, camera=STRAIGHT, **changes) -> PinholeCamera:
    P = np.column_stack([camera.K, np.zeros(3)])
    return camera_from_info(info(camera, np.eye(3), P, sampling, **changes), size)


def test_a_crop_as_the_standard_says_and_as_camera1394_says():
    crop = Sampling((60, 40, 200, 160))
    expected = STRAIGHT.cropped(60, 40, 200, 160)
    assert one_eye((200, 160), crop) == expected
    assert one_eye((200, 160), replace(crop, tells="own")) == expected


@pytest.mark.parametrize("tells", ["standard", "own", "stale"])
def test_a_binned_picture(tells):
    camera = one_eye((80, 64), Sampling(None, 4, tells))
    np.testing.assert_allclose(camera.K, STRAIGHT.resized(80, 64).K, rtol=1e-9)


def test_no_size_is_that_of_the_images_and_is_said():
    contract = CameraContract(RAW[0])
    contract.set_size((320, 256))
    contract.set_info("left", info(STRAIGHT, *IDENTITY, width=0, height=0))
    assert contract.camera == STRAIGHT
    assert contract.report.entries[0].action == Action.CONVERTED


@pytest.mark.parametrize(
    ("size", "changes", "sentence"),
    [
        ((320, 240), {}, "320x256 for an image of 320x240: the aspect ratios"),
        ((320, 256), {"roi": SimpleNamespace(x_offset=60, y_offset=0, width=300, height=256)},
         "roi 300x256 at 60, 0 lies outside the size 320x256"),
        ((320, 256), {"k": np.diag([280.0, 280, 1]).ravel()}, "principal point 0.0, 0.0 px"),
        ((320, 256), {"k": [50, 0, 160, 0, 50, 127, 0, 0, 1]}, "sees 145 degrees: 15 to 140"),
        ((320, 256), {"k": [5000, 0, 160, 0, 5000, 127, 0, 0, 1]}, "sees 4 degrees: 15 to 140"),
        ((320, 256), {"k": [280, 0, 160, 0, 500, 127, 0, 0, 1]}, "fx 280.0 and fy 500.0 px"),
        ((320, 256), {"d": [-1.5, 0.0, 0, 0, 0]}, "cannot be undone: pixels 123 px"),
        ((320, 256), {"distortion_model": "omnidirectional"}, "'omnidirectional': accepted are"),
        ((320, 256), {"d": [0.1] * 6}, "6 distortion coefficients"),
        ((320, 256), {"d": [-0.3, 0.1, 0.05, 0, 0]}, "tangential distortion 0.05, 0: 0.03 at most"),
        ((320, 256), {"k": [280, 0, 0, 0, 280, 0, 160, 127, 1]}, "written column by column"),
        ((320, 256), {"k": [280, 20, 160, 0, 280, 127, 0, 0, 1]}, "a skew of 0.5% of fx at most"),
        ((320, 256), {"k": [280, 0, 160, 0, 280, 127, 0, 0, 2]}, "0 0 1 is accepted"),
    ],
)  # fmt: skip
def test_a_camera_of_other_pixels_is_refused_with_numbers(size, changes, sentence):
    with pytest.raises(InputError, match=f"camera_info .*{sentence}"):
        one_eye(size, **changes)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_p_of_another_size_is_refused_for_a_rectified_topic(scale):
    """K may belong to the pixels and P not: 102 % and 51 % of error in depth, without a word."""
    s = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    sent = infos(RIG)
    for message in sent:
        message.p = (s @ message.p.reshape(3, 4)).ravel()
    contract = contract_of(RECT, sent)
    assert contract.stereo is None and contract.camera is None
    assert "P belongs to another size" in contract.report.entries[0].sentence


@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
@pytest.mark.parametrize("zeros", [0, 3])
def test_coefficients_of_every_length_are_those_of_opencv(count, zeros):
    values = [-0.3, 0.1, 1e-3, -1e-3, 0.01, 0.02, 0.01, 0.003, 2e-3, -1e-3, 1e-3, 1e-3, 0.01, -0.01]
    d = values[:count]
    if zeros and count > 5:
        d = [*values[:5], *[0.0] * (count - 5)]
    camera = one_eye(None, d=d, distortion_model="rational_polynomial")
    pixels = np.array([[10.0, 20], [160, 130], [300, 240]])
    points, _ = cv2.projectPoints(
        camera.unproject(pixels), np.zeros(3), np.zeros(3), camera.K, np.array(d)
    )
    np.testing.assert_allclose(points[:, 0], pixels, atol=1e-4)
    np.testing.assert_allclose(camera.project(camera.unproject(pixels)), pixels, atol=1e-4)


@pytest.mark.parametrize("name", ["equidistant", "fisheye"])
def test_a_fisheye_lens_is_that_of_opencv(name):
    d = [0.02, -0.01, 0.003, 0.0]
    K = [130.0, 0, 160, 0, 130, 127, 0, 0, 1]
    camera = one_eye(None, d=d, distortion_model=name, k=K)
    assert camera.lens == FISHEYE and camera.distortion_model == "equidistant"
    assert camera.undistorted().distortion == ()
    rays = np.array([[[0.5, -0.3, 1.0]], [[-1.5, 0.2, 1.0]]])
    expected, _ = cv2.fisheye.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, np.array(d))
    np.testing.assert_allclose(camera.project(rays[:, 0]), expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(camera.unproject(expected[:, 0]), rays[:, 0], atol=1e-6)


# --- pairs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "sentence"),
    [
        (4.13, "stereo baseline 4.13 m: 0.5 to 15 mm are accepted: .* millimetres for metres"),
        (0.05, "stereo baseline 0.05 m: 0.5 to 15 mm"),
        (0.0001, "stereo baseline 0.0001 m: 0.5 to 15 mm"),
        (0.0, r"stereo baseline -?0 m: .*-fx \* baseline"),
        (-0.0045, "stereo baseline -0.0045 m: .*right eye at x > 0"),
    ],
)
def test_a_baseline_that_no_endoscope_has_leaves_one_eye(baseline, sentence):
    left, right = infos(RIG)
    P = right.p.reshape(3, 4).copy()
    P[0, 3] = -P[0, 0] * baseline
    right.p = P.ravel()
    contract = contract_of(sent=(left, right))
    assert contract.stereo is None and contract.camera is not None
    (entry,) = contract.report.entries
    assert entry.severity == Severity.WARN and entry.topic == "/right/info"
    import re

    assert re.search(sentence, entry.sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({(0, 0): 1.03, (1, 1): 1.03}, "fx 280.00, .* right one 288.40"),
        ({(1, 2): 1.03}, "cy 127.00, .* 130.81 px"),
        ({(1, 3): -0.1}, "-0.1 across"),
    ],
    ids=["other focal length", "other row", "one above the other"],
)
def test_projections_that_were_not_made_together_are_no_pair(changes, sentence):
    """Each eye calibrated alone, with its own K as P and a baseline written into it."""
    left, right = infos(RIG)
    P = right.p.reshape(3, 4).copy()
    for place, change in changes.items():
        P[place] = P[place] * change if change > 0 else change
    right.p = P.ravel()
    contract = contract_of(sent=(left, right))
    assert contract.stereo is None and contract.camera is not None
    (entry,) = contract.report.entries
    import re

    assert re.search(sentence, entry.sentence) and "calibrate both eyes together" in entry.sentence


def test_another_calibration_waits_until_a_new_scene_or_the_old_one():
    contract = contract_of()
    contract.use()
    larger = infos(replace(RIG, baseline=1.5 * RIG.baseline))
    contract.set_info("right", larger[1])
    assert "baseline 4.50 to 6.75 mm" in contract.conflict
    assert contract.report.entries[0].severity == Severity.ERROR
    contract.set_info("right", infos(RIG)[1])
    assert contract.conflict == "" and contract.report.entries == []
    contract.set_info("right", larger[1])
    contract.new_scene()
    assert contract.conflict == "" and contract.stereo.baseline == pytest.approx(0.00675)


@pytest.mark.parametrize("changes", [{"k": np.zeros(9)}, {"k": np.full(9, np.nan)}, {"d": [9.0]}])
@pytest.mark.parametrize("eye", ["left", "right"])
def test_a_damaged_message_does_not_replace_a_good_one(eye, changes):
    contract = contract_of()
    before, sent = contract.use(), dict(zip(("left", "right"), infos(RIG)))
    damaged = SimpleNamespace(**{**vars(sent[eye]), **changes})
    assert not contract.set_info(eye, damaged)
    assert contract.stereo is before and contract.conflict == ""
    assert "the last good one is kept" in contract.report.entries[0].sentence
    contract.set_info(eye, sent[eye])
    assert contract.report.entries == []


def test_a_calibration_may_come_before_the_images_that_it_belongs_to():
    contract = contract_of()
    small = infos(Rig(CAMERA.resized(160, 120), CAMERA.resized(160, 120)))
    for eye, message in zip(("left", "right"), small):
        assert contract.set_info(eye, message)
    assert contract.camera is None  # rather than that of other images
    contract.set_size((160, 120))
    assert contract.stereo.left.size == (160, 120) and contract.report.entries == []


def test_a_roi_of_another_aspect_than_the_images_is_refused():
    with pytest.raises(InputError, match="size 280x200 for an image of 320x256"):
        one_eye((320, 256), Sampling((20, 20, 280, 200)))


def test_a_first_message_that_says_nothing_gives_way_to_a_good_one():
    contract = CameraContract(*RAW)
    contract.set_size((320, 256))
    contract.set_info("left", info(CAMERA, *IDENTITY, k=np.zeros(9)))
    assert contract.camera is None and contract.report.entries == []
    contract.set_info("left", info(CAMERA, *IDENTITY))
    assert contract.camera == CAMERA


def test_rounding_of_a_driver_is_no_new_calibration():
    contract = contract_of()
    before, (_, right) = contract.stereo, infos(RIG)
    right.k = right.k * (1 + 1e-8)
    assert not contract.set_info("right", right) and contract.stereo is before


def test_a_pair_that_leaves_its_rows_is_refused_and_recovers():
    """A camera head that was knocked: within a second of the stream, and back again."""
    plane, source, contract = Plane(0.04), StereoSource(), contract_of()
    left, right = eyes(RIG, plane, rectified=False)
    turned = se3.from_vectors(np.array([0.04, 0.0, 0.0]), np.zeros(3))[:3, :3]
    centre = np.array([RIG.baseline, 0.0, 0.0])
    knocked = picture(RIG.right, plane, turned @ RIG.R, centre)
    good = depth_of_pair(contract, left, right, SECOND, source)
    assert np.isfinite(good).mean() > 0.5
    with pytest.raises(InputError, match=r"matches lie \d+\.\d px off their rows .* 1\.0 are"):
        depth_of_pair(contract, left, knocked, 2 * SECOND, source)
    with pytest.raises(InputError, match="off their rows"):  # also between the seconds
        depth_of_pair(contract, left, knocked, 2 * SECOND + SECOND // 30, source)
    depth_of_pair(contract, left, right, 2 * SECOND + SECOND // 15, source)


@pytest.mark.parametrize("frozen", ["left", "right"])
def test_an_eye_that_repeats_its_picture_under_new_stamps_is_refused(frozen):
    """From the first repetition on, and not once it moves again or both stand still."""
    source, contract = StereoSource(), contract_of()
    at = [eyes(RIG, Plane(0.04, (0.02 * i, 0.0)), rectified=False) for i in range(5)]
    stamps = iter(range(SECOND, 2 * SECOND, SECOND // 30))

    def look(i: int, j: int) -> np.ndarray:
        left, right = (at[j][0], at[i][1]) if frozen == "left" else (at[i][0], at[j][1])
        return depth_of_pair(contract, left, right, next(stamps), source)

    look(0, 0)
    look(1, 1)
    for i in (2, 3, 4):
        with pytest.raises(InputError, match=f"the {frozen} eye repeats its last picture"):
            look(i, 1)
    for i in (2, 2, 2, 3):  # it goes on, everything stands still, and goes on
        assert np.isfinite(look(i, i)).mean() > 0.5


def test_eyes_exchanged_in_mid_stream_give_no_depth_at_all():
    source, contract = StereoSource(), contract_of()
    left, right = eyes(RIG, Plane(0.04), rectified=False)
    for i in range(3):
        depth_of_pair(contract, left, right, SECOND + i * SECOND // 30, source)
    with pytest.raises(InputError, match="look exchanged: only 0%"):
        depth_of_pair(contract, right, left, SECOND + SECOND // 10, source)


# --- depth from outside ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((1, 1), "1x1"), ((240, 320), "aspect ratios"), ((16, 20), "at least 40 px"),
     ((256, 256), "256x256 for a picture of 320x256")],
)  # fmt: skip
def test_depth_of_another_picture_is_refused(shape, sentence):
    with pytest.raises(InputError, match=sentence):
        require_depth_fits(np.full(shape, 0.05, np.float32), (320, 256))


@pytest.mark.parametrize("shape", [(256, 320), (128, 160), (512, 640), (77, 96)])
def test_depth_of_another_size_is_not(shape):
    require_depth_fits(np.full(shape, 0.05, np.float32), (320, 256))


@pytest.mark.parametrize(
    ("camera", "sentence"),
    [
        (STRAIGHT.resized(160, 128), ""),
        (replace(STRAIGHT, fx=200.0, fy=200.0), "fx 200.0, .* the picture's camera 280.0"),
        (replace(STRAIGHT, cx=175.0), "cx 175.0"),
    ],
)
@pytest.mark.parametrize("binning", [1, 2])
def test_depth_of_another_field_of_view_is_refused(camera, sentence, binning):
    message = info(camera, np.eye(3), np.column_stack([camera.K, np.zeros(3)]))
    size = camera.width // binning, camera.height // binning
    if sentence:
        with pytest.raises(InputError, match=sentence):
            require_depth_camera(message, size, STRAIGHT, "/depth/camera_info")
    else:
        require_depth_camera(message, size, STRAIGHT, "/depth/camera_info")


def test_depth_of_the_rectified_picture_beside_the_raw_one_is_refused():
    message = info(STRAIGHT, *IDENTITY)
    require_depth_camera(info(CAMERA, *IDENTITY), CAMERA.size, CAMERA, "/depth/camera_info")
    with pytest.raises(InputError, match="without lens distortion, and the picture has some"):
        require_depth_camera(message, CAMERA.size, CAMERA, "/depth/camera_info")
