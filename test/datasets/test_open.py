"""One list of readers: what opens what, what help texts and errors say."""

import json
import os
import re

import cv2
import numpy as np
import pytest

from endosfm3d_ros.cli.sources import ROLES, parse_inputs
from endosfm3d_ros.datasets.open import SourceOptions, accepted, open_sequence
from endosfm3d_ros.datasets.readers import all_readers
from endosfm3d_ros.errors import ConfigurationError, InputError


def plain(text):
    """Text of a help page without its frame and line breaks."""
    return re.sub(r"[\s│╭╮╰╯─]+", "", text)


@pytest.mark.parametrize("command", ["run", "convert", "evaluate", "check"])
def test_help_texts_and_errors_name_every_reader(run_command, tmp_path, command):
    assert len(all_readers()) >= 7
    page = plain(run_command(command, "--help").output)
    with pytest.raises(InputError) as caught:
        open_sequence(tmp_path)
    for reader in all_readers():
        assert plain(reader.words)[2:] in page
        assert reader.words in str(caught.value) and reader.words in accepted()


def test_an_error_says_what_was_found(tmp_path):
    for name in ("b.txt", "a.doc"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"holds a.doc, b.txt: accepted are"):
        open_sequence(tmp_path)
    with pytest.raises(InputError, match=r"b.txt holds a .txt file: accepted are"):
        open_sequence(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"none does not exist: accepted are"):
        open_sequence(tmp_path / "none")


def test_options_of_readers_are_roles_that_exist():
    for reader in all_readers():
        assert set(reader.options) <= set(ROLES)


def test_inputs_are_parsed():
    assert parse_inputs(["left=/a=b", "right="]) == SourceOptions(left="/a=b", right="")
    assert parse_inputs(None, "test") == SourceOptions(split="test")


@pytest.mark.parametrize("text", ["left", "rigth=/a", "=x", ""])
def test_inputs_that_mean_nothing_are_refused(text):
    with pytest.raises(ConfigurationError, match="ROLE=NAME is accepted, ROLE one of left, right"):
        parse_inputs([text])
    with pytest.raises(ConfigurationError, match="left is given twice"):
        parse_inputs(["left=/a", "left=/b"])


def test_an_option_that_a_recording_does_not_have_is_refused(stereomis):
    with pytest.raises(ConfigurationError, match=r"--input left=/a: .* roles of those: split"):
        open_sequence(stereomis.folder, options=SourceOptions(left="/a"))
    assert len(open_sequence(stereomis.folder, options=SourceOptions())) == 12


def test_what_may_not_be_read_is_one_sentence(tmp_path):
    """Root may read everything, so folders stand where files are expected."""
    (tmp_path / "clip" / "images").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "clip" / "images" / "000000.png"), np.zeros((48, 64, 3), np.uint8))
    camera = {"image_size": [64, 48], "fx": 50, "fy": 50, "cx": 32, "cy": 24, "fps": 25}
    (tmp_path / "clip" / "camera.json").write_text(json.dumps(camera))
    (tmp_path / "clip" / "mask_valid.txt").symlink_to(tmp_path / "clip" / "mask_valid.txt")
    assert len(open_sequence(tmp_path / "clip")) == 1
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag_0.mcap").mkdir()
    with pytest.raises(InputError, match=r"bag_0.mcap cannot be read: Is a directory"):
        open_sequence(tmp_path / "bag")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match=r"pipe.mp4 holds a .mp4 file: accepted are"):
        open_sequence(tmp_path / "pipe.mp4")
