"""Raw buffers: every encoding, padding, byte order, and one sentence for each mismatch."""

import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import encodings
from endosfm3d_ros.inputs.compressed import (
    decode_compressed,
    decode_compressed_plane,
    encode_compressed,
)
from endosfm3d_ros.inputs.encodings import decode_depth, decode_image, decode_labels

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def layout(pixels, encoding, pad=0):
    """Keyword arguments of a decode function for an array with padded rows."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, pad)), constant_values=77)
    return {
        "data": padded.tobytes(),
        "encoding": encoding,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "step": padded.shape[1],
    }


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, RGB[..., 0]])),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., 0]])),
    ],
)
def test_colour_encodings_give_the_same_rgb(encoding, raw, pad):
    decoded = decode_image(**layout(np.ascontiguousarray(raw), encoding, pad))
    np.testing.assert_array_equal(decoded, RGB)
    assert decoded.flags["C_CONTIGUOUS"] and decoded.flags["WRITEABLE"]


def test_mono8_becomes_grey_rgb():
    decoded = decode_image(**layout(np.ascontiguousarray(RGB[..., 1]), "mono8", 3))
    np.testing.assert_array_equal(decoded, np.repeat(RGB[..., 1:2], 3, axis=2))


def test_depth_in_metres_and_millimetres_with_invalid_pixels():
    metres = np.array([[0.05, np.nan, np.inf], [0.0, -1.0, 0.2]], np.float32)
    expected = np.array([[0.05, np.nan, np.nan], [np.nan, np.nan, 0.2]], np.float32)
    np.testing.assert_array_equal(decode_depth(**layout(metres, "32FC1")), expected)
    millimetres = np.array([[50, 0, 0], [0, 0, 200]], np.uint16)
    decoded = decode_depth(**layout(millimetres, "16UC1", 2))
    np.testing.assert_allclose(decoded, expected, rtol=1e-6)
    assert decoded.dtype == np.float32


def test_big_endian_is_swapped():
    millimetres = np.array([[1, 258]], np.uint16)
    arguments = layout(millimetres.astype(">u2"), "16UC1")
    np.testing.assert_allclose(decode_depth(**arguments, is_bigendian=1), [[0.001, 0.258]])
    np.testing.assert_allclose(decode_depth(**arguments), [[0.256, 0.513]])


def test_labels_of_both_widths():
    labels = np.array([[0, 1], [2, 255]], np.uint16)
    for raw, encoding in ((labels.astype(np.uint8), "mono8"), (labels, "16UC1")):
        decoded = decode_labels(**layout(raw, encoding))
        np.testing.assert_array_equal(decoded, labels)
        assert decoded.dtype == np.uint8
    with pytest.raises(InputError, match="label 300: at most 255"):
        decode_labels(**layout(labels + 45, "16UC1"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": RGB.tobytes()[:-1]}, r"image data of 104 bytes: step 21 x height 5 need 105"),
        ({"step": 20}, r"image step 20 bytes: 7 pixels of 3 x uint8 need 21"),
        ({"height": 0}, r"image size 7x0: both must be positive"),
        ({"width": 0}, r"image size 0x5: both must be positive"),
        ({"encoding": "yuv422"}, r"image of width 7 px: yuv422 needs a multiple of 2"),
        ({"encoding": "32FC3"}, r"image encoding '32FC3': accepted are rgb8, bgr8"),
    ],
)
def test_each_mismatch_is_one_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence):
        decode_image(**{**layout(RGB, "rgb8"), **change})


@pytest.mark.parametrize(
    ("decode", "accepted"), [("decode_depth", "32FC1, 16UC1"), ("decode_labels", "mono8, 16UC1")]
)
def test_other_encodings_name_the_accepted_ones(decode, accepted):
    with pytest.raises(InputError, match=f"'rgb8': accepted are {accepted}"):
        getattr(encodings, decode)(**layout(RGB, "rgb8"))


def test_png_is_exact_and_jpeg_close():
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 1, 3))
    png = encode_compressed(RGB, "png")
    np.testing.assert_array_equal(decode_compressed(png), RGB)
    jpeg = decode_compressed(encode_compressed(smooth, "jpeg"))
    assert np.abs(jpeg.astype(int) - smooth).max() <= 3
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert decode_compressed(encode_compressed(red, "jpeg"))[8, 8, 0] > 190


@pytest.mark.parametrize("suffix", ["jpeg", "png"])
def test_cut_and_foreign_files_are_refused(suffix):
    whole = encode_compressed(np.tile(RGB, (40, 40, 1)), suffix)
    with pytest.raises(InputError, match="cut off or damaged"):
        decode_compressed(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="starts with b'GI'"):
        decode_compressed(b"GIF89a")
    with pytest.raises(InputError, match="compressed image of 0 bytes"):
        decode_compressed(b"")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_planes_keep_their_values_and_need_one_channel(dtype):
    plane = RGB[..., 0].astype(dtype) * 200
    png = encode_compressed(plane, "png")
    np.testing.assert_array_equal(decode_compressed_plane(png), plane)
    with pytest.raises(InputError, match="image with 3 channels: one is accepted"):
        decode_compressed_plane(encode_compressed(RGB, "png"))


def test_unknown_file_format_is_refused():
    with pytest.raises(InputError, match="'tiff': jpeg and png"):
        encode_compressed(RGB, "tiff")
