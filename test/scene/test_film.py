"""Films that people can play: H.264 with the index at the front."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.scene import film_file
from endosfm3d_ros.scene.film_file import FilmFile

SIZE = (160, 128)


def pictures(count: int = 6) -> list[np.ndarray]:
    colours = [(40 * k, 20, 200 - 30 * k) for k in range(count)]
    return [np.full((SIZE[1], SIZE[0], 3), colour, np.uint8) for colour in colours]


def boxes(content: bytes) -> list[bytes]:
    """Names of the outermost boxes of an MP4."""
    at, names = 0, []
    while at < len(content):
        names.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    return names


def test_a_film_is_h264_that_starts_at_once(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "film ä.mp4"
    film = FilmFile(path, 12.5, SIZE)
    for picture in pictures():
        film.write(picture)
    film.close()
    content = path.read_bytes()
    names = boxes(content)
    assert names.index(b"moov") < names.index(b"mdat") and b"avc1" in content
    read = cv2.VideoCapture(str(path))
    assert read.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    _, first = read.read()
    np.testing.assert_allclose(first[..., ::-1].mean(axis=(0, 1)), (0, 20, 200), atol=6)


def test_without_pyav_it_is_a_film_that_browsers_play(tmp_path, monkeypatch):
    def missing(*_: object) -> None:
        raise ImportError("No module named 'av'")

    monkeypatch.setattr(film_file, "_H264", missing)
    film = FilmFile(tmp_path / "film.mp4", 10, SIZE)
    for picture in pictures():
        film.write(picture)
    film.close()
    assert b"vp09" in (tmp_path / "film.mp4").read_bytes()
