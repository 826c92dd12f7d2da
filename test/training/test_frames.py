"""Recordings at network size: rate, masks, distortion, interruption."""

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.datasets.sequence import Sequence, stamp_of
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.segmentation import ToolMask
from endosfm3d_ros.training import frames
from endosfm3d_ros.training.frames import prepare_clip, resampled, tissue_pixels
from endosfm3d_ros.training.recipes import OURS, RELEASED
from endosfm3d_ros.types import Frame

SMALL = replace(OURS, image_size=(112, 140), depth_size=(56, 70), max_rate=None)
HEIGHT, WIDTH = 128, 160


class Grey(Sequence):
    """Frames of one grey level each; a mask on frame 1 only."""

    name, fps = "grey", 20.0

    def __init__(self, count=6, camera=None):
        self.count, self.camera = count, camera

    def __len__(self):
        return self.count

    def __iter__(self):
        for i in range(self.count):
            image = np.full((HEIGHT, WIDTH, 3), 100 + i, np.uint8)
            yield Frame(stamp_of(i, self.fps), image, camera=self.camera)

    def mask(self, i):
        if i != 1:
            return None
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[:, : WIDTH // 2] = True
        return mask


class Everywhere:
    """A mask source that sees one tool over the whole image."""

    name = "test"

    def reset(self):
        pass

    def segment(self, frame):
        return ToolMask(np.ones(frame.image.shape[:2], bool), self.name)


def test_frames_are_stored_at_both_sizes(tmp_path):
    seen = []
    clip = prepare_clip(Grey(), tmp_path / "c", SMALL, on_frame=lambda *now: seen.append(now))
    assert clip.images.shape == (6, 112, 140, 3)
    assert clip.depth_inputs.shape == (6, 56, 70, 3)
    assert [int(image.mean()) for image in clip.images] == [100 + i for i in range(6)]
    assert (clip.interval, clip.stamps[2]) == (50_000_000, 100_000_000)
    assert seen == [(i + 1, 6) for i in range(6)]


def test_a_fast_video_is_thinned(tmp_path):
    clip = prepare_clip(Grey(), tmp_path / "c", replace(SMALL, max_rate=10.0))
    assert [int(image.mean()) for image in clip.images] == [100, 102, 104]
    assert clip.interval == 100_000_000


def test_recorded_masks_come_first_and_the_source_fills_the_rest(tmp_path):
    clip = prepare_clip(Grey(), tmp_path / "c", SMALL, tools=Everywhere())
    shares = [float(tissue.mean()) for tissue in clip.tissue]
    assert shares[1] == pytest.approx(0.5, abs=0.03)
    assert shares[0] == shares[2] == 0


def test_highlights_and_black_are_no_tissue():
    image = np.full((112, 140, 3), 120, np.uint8)
    image[:30] = 0
    image[-30:] = 255
    tissue = tissue_pixels(image, None)
    assert tissue[:28].max() == 0
    assert tissue[-28:].max() == 0
    assert tissue[35:-35].min() == 1


def test_distortion_is_removed_where_the_camera_is_known(tmp_path):
    camera = PinholeCamera(WIDTH, HEIGHT, 100, 100, 80, 64, (0.9, 0, 0, 0, 0))
    # With this lens the corners of the pinhole lie outside of the image: they become black.
    straight = prepare_clip(Grey(camera=camera), tmp_path / "a", SMALL)
    raw = prepare_clip(Grey(camera=camera), tmp_path / "b", replace(SMALL, undistorted=False))
    assert straight.images[0, 0, 0, 0] == 0
    assert straight.tissue[0, 0, 0] == 0
    assert raw.images[0, 0, 0, 0] == 100


def test_what_was_read_once_is_opened_again(tmp_path):
    prepare_clip(Grey(), tmp_path / "c", SMALL)

    def never(*_):
        raise AssertionError

    assert len(prepare_clip(Grey(), tmp_path / "c", SMALL, on_frame=never)) == 6
    other = replace(SMALL, depth_size=(70, 84))
    assert prepare_clip(Grey(), tmp_path / "c", other).depth_inputs.shape == (6, 70, 84, 3)


def test_an_interrupted_reading_begins_anew(tmp_path):
    def interrupt(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_clip(Grey(), tmp_path / "c", SMALL, on_frame=interrupt)
    clip = prepare_clip(Grey(), tmp_path / "c", SMALL)
    assert [int(image.mean()) for image in clip.images] == [100 + i for i in range(6)]


def test_too_few_frames_and_too_little_disk_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="grey has 2 frames to learn from: 3 are needed"):
        prepare_clip(Grey(2), tmp_path / "a", SMALL)
    monkeypatch.setattr(frames, "FREE_SPACE", 1 << 60)
    with pytest.raises(ConfigurationError, match="GB for frames"):
        prepare_clip(Grey(), tmp_path / "b", SMALL)


def test_both_ways_of_resampling_average():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (512, 640, 3), dtype=np.uint8)
    for how in (OURS.resampling, RELEASED.resampling):
        small = resampled(image, (64, 80), how)
        assert small.shape == (64, 80, 3)
        assert small.std() < 0.35 * image.std()  # sampling without averaging would keep all of it
