"""Images of one eye in a folder, without a camera file: the camera is estimated from them."""

from __future__ import annotations

from pathlib import Path

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.formats.references import NUMBER_AT_END
from endosfm3d_ros.datasets.published.image_sequence import ImageSequence, Layout, images_of
from endosfm3d_ros.inputs.report import InputReport

FPS = 15.0
FOLDERS = ("", "images", "left")
CAMERA_FILES = ("camera.json", "calibration.json")


def image_folder(path: Path) -> Path | None:
    """Where the images lie: here, or in images/ or left/.

    None where a camera file or a right eye makes a clip folder of it, where names are those of
    C3VD, or where there are fewer than two with a number.
    """
    if not path.is_dir() or (path / "right").is_dir():
        return None
    if any((path / name).is_file() for name in CAMERA_FILES) or any(path.glob("*_color.png")):
        return None
    for name in FOLDERS:
        folder = path / name
        if folder.is_dir() and len(_pictures(folder)) > 1:
            return folder
    return None


def _pictures(folder: Path) -> list[Path]:
    """Pictures with a number in their names."""
    kinds = (".png", ".jpg", ".jpeg")
    return [
        p for p in folder.iterdir() if p.suffix.lower() in kinds and NUMBER_AT_END.search(p.stem)
    ]


class LooseImages(ImageSequence):
    """Images by the last number in their names.

    Args:
        folder: of the images, or the one that holds images/ or left/.
        start: stamp of the first frame in nanoseconds.

    Raises:
        InputError: names without numbers, or two images of one number.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        report = InputReport()
        place = image_folder(folder) or folder
        cure = "put a camera.json with fx, fy, cx, cy, image_size and fps beside them"
        report.assumed("images", "rate", f"{FPS:g} frames a second", cure)
        report.missing("camera", "file", "there is none: the camera is estimated", cure)
        layout = Layout(shown(folder.resolve().name), FPS, images_of(place))
        super().__init__(layout, report, start)
