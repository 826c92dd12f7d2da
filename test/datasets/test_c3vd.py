"""C3VD folders: a wide-angle lens seen as a pinhole, transposed poses, depth of 16 bits."""

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.published.c3vd import COLONOSCOPE, C3VDSequence
from endosfm3d_ros.datasets.published.omnidirectional import OmnidirectionalCamera
from endosfm3d_ros.errors import InputError

LENS = OmnidirectionalCamera(135, 108, 67.9, 54.3, (76.9, 0.0, -8.1e-3, 6e-5, -1.2e-6),
                             (0.99999, 0.0029, -0.003))  # fmt: skip


def slopes(lens):
    """(H, W) x / z and y / z that each pixel sees, straight from the definition."""
    u, v = np.meshgrid(np.arange(lens.width), np.arange(lens.height))
    c, d, e = lens.affine
    x, y = np.linalg.inv([[c, d], [e, 1]]) @ np.stack([u - lens.cx, v - lens.cy]).reshape(2, -1)
    z = np.polynomial.polynomial.polyval(np.hypot(x, y), lens.polynomial)
    return (x / z).reshape(u.shape), (y / z).reshape(u.shape)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cecum_t1_a"
    folder.mkdir()
    x, y = slopes(LENS)
    colours = np.stack([100 + 60 * x, 100 + 60 * y, np.full_like(x, 90)], axis=-1)
    for i in (3, 4):
        image = cv2.cvtColor(np.clip(colours, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{i:04d}_color.png"), image)
    depth = np.full((LENS.height, LENS.width), 32768, np.uint16)
    depth[:20], depth[-20:] = 0, 65535
    cv2.imwrite(str(folder / "0003_depth.tiff"), depth)
    lines = []
    for i in range(2):
        T = np.eye(4)
        T[:3, 3] = (10, 20 * i, 0)
        lines.append(",".join(str(value) for value in T.T.ravel()))
    (folder / "pose.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_every_pixel_of_the_pinhole_looks_where_it_should(folder):
    sequence = C3VDSequence(folder, lens=LENS)
    frames = list(sequence)
    assert [sequence.number(i) for i in range(2)] == [3, 4]
    rays = sequence.camera.rays()[10:-10, 10:-10]
    seen = frames[0].image[10:-10, 10:-10]
    np.testing.assert_allclose(seen[..., 0], 100 + 60 * rays[..., 0], atol=1.5)
    np.testing.assert_allclose(seen[..., 1], 100 + 60 * rays[..., 1], atol=1.5)
    # which a pinhole of the same focal length would get wrong:
    plain = cv2.cvtColor(cv2.imread(str(folder / "0003_color.png")), cv2.COLOR_BGR2RGB)
    assert np.abs(plain[10:-10, 10:-10, 0] - (100 + 60 * rays[..., 0])).max() > 5


def test_the_published_lens_projects_what_it_unprojects():
    x, y = slopes(COLONOSCOPE)
    u, v = COLONOSCOPE.project(x[500:520, 400:420], y[500:520, 400:420])
    np.testing.assert_allclose(u, np.broadcast_to(np.arange(400, 420), u.shape), atol=1e-3)
    np.testing.assert_allclose(v, np.arange(500, 520)[:, None] + 0 * u, atol=1e-3)


def test_depth_and_poses_are_in_metres(folder):
    sequence = C3VDSequence(folder, lens=LENS)
    depth = sequence.reference_depth(0)
    assert depth[54, 67] == pytest.approx(0.05, abs=1e-5)
    assert np.isnan(depth[:5, 50:80]).all()
    assert np.isnan(depth[-5:, 50:80]).all()
    assert sequence.reference_depth(1) is None
    np.testing.assert_allclose(sequence.reference_pose(1)[:3, 3], [0.01, 0.02, 0])


def test_images_of_another_camera_are_refused(folder):
    with pytest.raises(InputError, match="1350x1080 is accepted"):
        list(open_sequence(folder))
