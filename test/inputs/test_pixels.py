"""What pixels mean, by value: raw encodings, compressed formats, depth, labels."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from depth_combinations import depth_message, rvl_of
from plane_scene import compressed_message, raw_message

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import compressed, rvl
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.report import Action, InputReport, Severity

COLOUR = (200, 60, 50)
PATCH = np.full((48, 64, 3), COLOUR, np.uint8)
GREY = round(0.299 * 200 + 0.587 * 60 + 0.114 * 50)
RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def read(message, report=None):
    return PixelReader("/camera", report).picture(message)


def mean(image: np.ndarray) -> list[int]:
    return image.reshape(-1, 3).mean(axis=0).round().astype(int).tolist()


@pytest.mark.parametrize("pad", [0, 10])
@pytest.mark.parametrize(
    "encoding",
    ["rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "8UC4", "rgb16", "bgr16", "rgba16", "yuv422", "uyvy",
     "yuv422_yuy2", "yuyv", "nv12", "nv21", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8",
     "bayer_grbg8", "bayer_rggb16"],
)  # fmt: skip
def test_every_encoding_shows_the_colour_that_was_sent(encoding, pad):
    np.testing.assert_allclose(mean(read(raw_message(PATCH, encoding, pad))), COLOUR, atol=3)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1"])
def test_grey_stays_grey(encoding):
    np.testing.assert_allclose(mean(read(raw_message(PATCH, encoding))), [GREY] * 3, atol=1)


def test_nv24_has_chroma_for_every_pixel():
    yuv = cv2.cvtColor(PATCH, cv2.COLOR_RGB2YUV_I420)
    y, u, v = yuv[0, 0], yuv[48, 0], yuv[-1, -1]
    data = np.concatenate([np.full(48 * 64, y), np.tile([u, v], 48 * 64)]).astype(np.uint8)
    message = SimpleNamespace(
        height=48, width=64, encoding="nv24", step=64, is_bigendian=0, data=data
    )
    np.testing.assert_allclose(mean(read(message)), COLOUR, atol=3)


def test_what_an_encoding_leaves_open_is_said():
    report = InputReport()
    read(raw_message(PATCH, "8UC3"), report)
    (entry,) = report.entries
    assert entry.action == Action.ASSUMED and "blue, green, red" in entry.sentence


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_sensor_of_fewer_bits_fills_the_whole_range(bits):
    top = (1 << bits) - 1
    plane = np.tile(np.linspace(0, top, 64).astype(np.uint16), (48, 1))
    message = compressed_message(png(plane), "mono16; png compressed ")
    shown = read(message)
    assert shown.max() == 255 and abs(int(shown[0, 32, 0]) - 129) <= 3


def test_the_brightness_of_a_stream_does_not_jump_with_a_dark_image():
    reader = PixelReader("/camera")
    bright = reader.picture(compressed_message(png(RAMP), "mono16; png compressed "))
    dark = reader.picture(compressed_message(png(RAMP // 16), "mono16; png compressed "))
    assert bright.max() == 255 and dark.max() == 16


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_in_a_jpeg_has_colours(pattern):
    mosaic = raw_message(PATCH, f"bayer_{pattern}8").data.reshape(48, 64)
    message = compressed_message(jpeg(mosaic), f"bayer_{pattern}8; jpeg compressed ")
    np.testing.assert_allclose(mean(read(message)), COLOUR, atol=4)


@pytest.mark.parametrize(
    ("file", "format"),
    [
        (PATCH[..., ::-1], "jpeg"),
        (PATCH[..., ::-1], "rgb8; jpeg compressed bgr8"),
        (PATCH[..., ::-1], "bgr8; jpeg compressed bgr8"),
        (PATCH, "rgb8; jpeg compressed rgb8"),
        (PATCH, "bgr8; jpeg compressed rgb8"),
    ],
)
def test_the_order_of_colours_follows_the_format(file, format):
    np.testing.assert_allclose(mean(read(compressed_message(jpeg(file), format))), COLOUR, atol=3)


@pytest.mark.parametrize("encode", [jpeg, png])
@pytest.mark.parametrize("before", [b"", b"\0" * 12, b"header of the sender"])
@pytest.mark.parametrize("behind", [b"", b"\0" * 5000, b"\xff\xd9 remark", b"IEND" * 500])
def test_bytes_around_a_picture_are_left_out(encode, before, behind):
    data = before + encode(PATCH[..., ::-1]) + behind
    np.testing.assert_allclose(mean(read(compressed_message(data, ""))), COLOUR, atol=3)


@pytest.mark.parametrize("encode", [jpeg, png])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_file_is_refused_whatever_follows(encode, share):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    whole = encode(noise)
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(InputError, match="cut off or damaged"):
        read(compressed_message(cut, ""))


def declared(width: int, height: int) -> dict[str, bytes]:
    """Small files that promise a large picture."""
    whole = jpeg(PATCH)
    at = whole.index(b"\xff\xc0") + 5
    huge = whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]
    picture = png(PATCH)
    head = picture[12:16] + struct.pack(">II", width, height) + picture[24:29]
    crc = struct.pack(">I", zlib.crc32(head))
    return {"jpeg": huge, "png": picture[:12] + head + crc + picture[33:]}


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_header_that_promises_gigabytes_is_refused_before_decoding(kind, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(compressed.cv2, "imdecode", never)
    with pytest.raises(InputError, match="says 30000x20000 px: 1 to 35389440"):
        read(compressed_message(declared(30000, 20000)[kind], ""))


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_turns_pictures_and_masks_alike_and_is_said(turn):
    image = pytest.importorskip("PIL.Image")
    stored = np.zeros((40, 64, 3), np.uint8)
    stored[:20, :32], stored[:20, 32:] = (250, 0, 0), (0, 250, 0)
    picture = image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95, exif=exif)
    report = InputReport()
    shown = read(compressed_message(stream.getvalue(), "jpeg"), report)
    expected = compressed._turned(stored, turn)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 6
    assert [entry.action for entry in report.entries] == [Action.CONVERTED] * (turn != 1)


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGBA", "LA", "P"])
def test_pictures_of_other_colour_models(mode):
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    kind = "JPEG" if mode in ("CMYK", "L") else "PNG"
    image.fromarray(PATCH).convert(mode).save(stream, kind)
    shown = read(compressed_message(stream.getvalue(), kind.lower()))
    wanted = [GREY] * 3 if mode in ("L", "LA") else COLOUR
    np.testing.assert_allclose(mean(shown), wanted, atol=8)


def test_a_refusal_stays_in_the_report_until_an_image_can_be_read():
    report = InputReport()
    reader = PixelReader("/camera", report)
    bad = raw_message(PATCH, "rgb8")
    bad.encoding = "h264"
    with pytest.raises(InputError):
        reader.picture(bad)
    (entry,) = report.entries
    assert entry.severity == Severity.ERROR and "'h264'" in entry.sentence
    assert "rgb8" in entry.sentence
    reader.picture(raw_message(PATCH, "rgb8"))
    assert report.entries == []


# --- depth and labels ------------------------------------------------------------------------

DEPTH = np.linspace(0.04, 0.08, 48 * 64).reshape(48, 64).astype(np.float32)


def plane_message(plane: np.ndarray, encoding: str) -> SimpleNamespace:
    return SimpleNamespace(
        height=plane.shape[0], width=plane.shape[1], encoding=encoding, step=plane.strides[0],
        is_bigendian=0, data=np.frombuffer(plane.tobytes(), np.uint8),
    )  # fmt: skip


def packed_depth(kind: str) -> SimpleNamespace:
    """As compressed_depth_image_transport sends it."""
    if kind == "16UC1":
        body = struct.pack("<iff", 0, 0.0, 0.0) + png((DEPTH * 1e3).round().astype(np.uint16))
        return compressed_message(body, "16UC1; compressedDepth png")
    a, b = 60.0, 1.0  # depth is a / (value - b)
    body = struct.pack("<iff", 0, a, b) + png((a / DEPTH + b).astype(np.uint16))
    return compressed_message(body, "32FC1; compressedDepth png")


def wrapped_depth() -> SimpleNamespace:
    """With the parameters that the transport has by default."""
    return depth_message(DEPTH, "32FC1; compressedDepth png", quantisation=100)


@pytest.mark.parametrize(
    "message",
    [
        plane_message(DEPTH, "32FC1"),
        plane_message(DEPTH.astype(np.float64), "64FC1"),
        plane_message((DEPTH * 1e3).round().astype(np.uint16), "16UC1"),
        plane_message((DEPTH * 1e3).round().astype(np.uint16), "mono16"),
        packed_depth("16UC1"),
        packed_depth("32FC1"),
        depth_message(DEPTH, "16UC1; compressedDepth rvl"),
        depth_message(DEPTH, "32FC1; compressedDepth rvl"),
        compressed_message(png((DEPTH * 1e3).round().astype(np.uint16)), "16UC1; png compressed "),
    ],
    ids=[
        "32FC1",
        "64FC1",
        "16UC1",
        "mono16",
        "packed 16UC1",
        "packed 32FC1",
        "RVL 16UC1",
        "RVL 32FC1",
        "png",
    ],
)
def test_depth_is_in_metres_whatever_carries_it(message):
    np.testing.assert_allclose(PixelReader("/depth").depth(message), DEPTH, atol=6e-4)


def test_what_senders_use_for_unknown_and_what_no_endoscope_sees_is_invalid():
    """65535 of 16 bits, not a number, below zero, beyond half a metre: of single pixels."""
    millimetres = (DEPTH * 1e3).round().astype(np.uint16)
    millimetres[:30] = 65535
    metres = DEPTH.copy()
    metres[:5], metres[5:10], metres[10:15] = -1, np.inf, 1e4
    for message, rows in ((plane_message(millimetres, "16UC1"), 30),
                          (depth_message(DEPTH, "32FC1; compressedDepth png"), 0),
                          (plane_message(metres, "32FC1"), 15)):  # fmt: skip
        depth = PixelReader("/depth").depth(message)
        assert np.isnan(depth[:rows]).all()
        np.testing.assert_allclose(depth[rows:], DEPTH[rows:], atol=6e-4)


@pytest.mark.parametrize("encoding", ["mono16", "rgb16", "bayer_rggb16"])
def test_bytes_of_the_wrong_order_are_refused(encoding):
    """A sensor of 12 bits; a driver that swaps bytes and says nothing is no rare thing."""
    noise = np.random.default_rng(3).normal(0, 9, (48, 64))
    values = np.clip(RAMP * 0.8 + 200 + noise, 0, 4095).astype(np.uint16)
    plane = np.repeat(values[..., None], 3, axis=-1) if encoding == "rgb16" else values
    right, wrong = (plane_message(np.ascontiguousarray(order), encoding)
                    for order in (plane, plane.byteswap()))  # fmt: skip
    assert read(right).std() > 30
    with pytest.raises(InputError, match=r"bytes were exchanged .* is_bigendian"):
        read(wrong)
    wrong.is_bigendian = 1
    np.testing.assert_array_equal(read(wrong), read(right))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0], ids=["full", "holes", "empty"])
def test_rvl_gives_back_every_value(share):
    """Runs of any length, steps of any size, and the end in the middle of a word."""
    rng = np.random.default_rng(1)
    for width, height in ((1, 1), (7, 3), (64, 48)):
        values = rng.integers(0, 65536, (height, width), np.uint16)
        values[: height // 2] = 40000 + rng.integers(-9, 9, (height // 2, width))
        values[rng.random(values.shape) < share] = 0
        packed = rvl_of(values)
        np.testing.assert_array_equal(rvl.unpack(packed, width, height), values)
        np.testing.assert_array_equal(rvl.unpack(packed + b"more", width, height), values)


def test_damaged_rvl_is_one_sentence_or_a_picture_of_its_size():
    rng = np.random.default_rng(2)
    packed = rvl_of((rng.random((24, 32)) * 300).astype(np.uint16))
    for length in range(0, len(packed) - 8, 7):
        with pytest.raises(InputError, match="RVL"):
            rvl.unpack(packed[:length], 32, 24)
    for _ in range(200):
        content = bytearray(packed)
        content[rng.integers(len(packed))] ^= 1 << rng.integers(8)
        with contextlib.suppress(InputError):
            assert rvl.unpack(bytes(content), 32, 24).shape == (24, 32)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (plane_message(DEPTH * 1e3, "32FC1"), "median of 60000 mm: 1 to 500 mm .* millimetres"),
        (plane_message(np.full((48, 64), 7000, np.uint16), "16UC1"), "median of 7000 mm"),
        (plane_message(np.full((48, 64), np.inf, np.float32), "32FC1"), "valid in 0.0%"),
        (plane_message(np.zeros((48, 64), np.uint16), "16UC1"), "valid in 0.0%"),
        (compressed_message(jpeg(PATCH[..., 0]), "16UC1; jpeg compressed "), "as JPEG"),
        (compressed_message(b"123", "32FC1; compressedDepth rvl"), "cut off"),
        (wrapped_depth(), r"down to 153.9 mm.*depth_quantization to 7"),
    ],
)
def test_depth_that_no_endoscope_sees_is_refused_with_numbers(message, sentence):
    report = InputReport()
    with pytest.raises(InputError, match=sentence):
        PixelReader("/depth", report).depth(message)
    assert report.entries[0].severity == Severity.ERROR


LABELS = np.arange(48 * 64).reshape(48, 64) % 5


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("mono8", np.uint8), ("8UC1", np.uint8), ("8SC1", np.int8), ("16UC1", np.uint16),
     ("mono16", np.uint16), ("16SC1", np.int16), ("32SC1", np.int32)],
)  # fmt: skip
def test_labels_of_every_integer(encoding, kind):
    message = plane_message(LABELS.astype(kind), encoding)
    np.testing.assert_array_equal(PixelReader("/mask").labels(message), LABELS)


def test_labels_in_colour_and_in_files():
    reader, grey = PixelReader("/mask"), np.repeat(LABELS.astype(np.uint8)[..., None], 3, axis=-1)
    for encoding in ("rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "8UC4"):
        np.testing.assert_array_equal(reader.labels(raw_message(grey, encoding)), LABELS)
    for plane in (LABELS.astype(np.uint8), LABELS.astype(np.uint16), grey):
        np.testing.assert_array_equal(
            reader.labels(compressed_message(png(plane), "mono8; png compressed ")), LABELS
        )
    with pytest.raises(InputError, match="labels as JPEG: it changes the values"):
        reader.labels(compressed_message(jpeg(LABELS.astype(np.uint8)), "mono8; jpeg compressed "))
    with pytest.raises(InputError, match="with colours"):
        reader.labels(raw_message(PATCH, "rgb8"))
    with pytest.raises(InputError, match="label -3"):
        reader.labels(plane_message(np.full((4, 4), -3, np.int16), "16SC1"))
