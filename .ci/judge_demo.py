"""Whether a demo showed the scene: at least 90 % of the frames back, and a picture to look at.

Use: judge_demo.py LOG PICTURE
"""

import json
import sys
from pathlib import Path

import cv2

SHARE = 0.9  # of the frames, on every topic
TOPICS = ("depth_images", "poses", "clouds", "tissue_images", "tool_labels")


def figures(log: str) -> dict:
    """The JSON that the demo printed."""
    start = log.index("\n{") + 1
    return json.loads(log[start : log.index("\n}", start) + 2])


def complaints(said: dict, picture: Path) -> list[str]:
    """What is wrong, one sentence each."""
    sent = said["frames_sent"]
    wrong = [
        f"{said[f'{topic}_received']} of {sent} {topic.replace('_', ' ')} came back"
        for topic in TOPICS
        if said[f"{topic}_received"] < SHARE * sent
    ]
    image = cv2.imread(str(picture)) if picture.is_file() else None
    if image is None:
        return [*wrong, f"there is no picture {picture}"]
    height, width = image.shape[0] // 2, image.shape[1] // 3
    panels = [
        image[r * height : (r + 1) * height, c * width : (c + 1) * width]
        for r in range(2)
        for c in range(3)
    ]
    wrong += [
        f"panel {i} of the picture is black or of one colour"
        for i, panel in enumerate(panels, 1)
        if panel.std() < 5
    ]
    return wrong


def main() -> None:
    """Exit with what is wrong."""
    log, picture = map(Path, sys.argv[1:])
    said = figures(log.read_text(errors="replace"))
    sys.exit("\n".join(complaints(said, picture)) or None)


if __name__ == "__main__":
    main()
