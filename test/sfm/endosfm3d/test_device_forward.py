"""Pre- and post-processing on the device against that of the host; on any GPU there is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from endosfm3d_ros.engines import Engine, TensorSpec
from endosfm3d_ros.engines.device_engine import DeviceEngine
from endosfm3d_ros.engines.device_session import DeviceSession
from endosfm3d_ros.engines.torch_program import TorchProgram
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.sfm.endosfm3d.depth_forward import HostForward, depth_forward
from endosfm3d_ros.sfm.endosfm3d.device_forward import DeviceForward, area_weights

SIZE = 32, 48
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU and torch with CUDA")


class Logits(nn.Module):
    """The colours as logits, with one that is not finite."""

    def forward(self, image):
        logit = 4 * image.mean(dim=1, keepdim=True) - 6
        logit[..., 0, 0] = torch.nan
        return logit, logit[..., ::2, ::2]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=cuda)])
def engine(request):
    inputs = (TensorSpec("image", (1, 3, *SIZE)),)
    outputs = (TensorSpec("logit", (1, 1, *SIZE)), TensorSpec("coarse_logit", (1, 1, 16, 24)))
    program = TorchProgram(Logits().to(request.param), inputs, outputs, request.param)
    return DeviceEngine(DeviceSession(inputs, outputs, program, request.param))


def picture(height, width):
    noise = np.random.default_rng(0).random((height, width, 3), np.float32)
    return (255 * cv2.GaussianBlur(noise, (0, 0), 2)).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (100, 131), (512, 640), SIZE, (20, 30)])
def test_the_host_and_the_device_agree(engine, size):
    image = picture(*size)
    host, device = HostForward(engine)(image), DeviceForward(engine)(image)
    difference = np.abs(host.image.astype(int) - device.image.astype(int))
    assert difference.max() <= 1  # rounding
    assert host.image.dtype == device.image.dtype == np.uint8
    for ours, reference in ((device.fine, host.fine), (device.coarse, host.coarse)):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(reference))
        np.testing.assert_allclose(ours, reference, rtol=0.02)  # of one grey level
    assert np.isnan(device.fine[0, 0])


def test_results_belong_to_the_caller(engine):
    forward = DeviceForward(engine)
    first = forward(picture(64, 96))
    kept = first.fine.copy()
    forward(255 - picture(64, 96))
    np.testing.assert_array_equal(first.fine, kept)


def test_another_size_of_image_follows(engine):
    forward = DeviceForward(engine)
    for size in ((64, 96), (128, 192), (64, 96)):
        assert forward(picture(*size)).image.shape == (*SIZE, 3)


def test_no_image_is_refused(engine):
    with pytest.raises(InputError, match="uint8"):
        DeviceForward(engine)(np.zeros((64, 96, 3), np.float32))


@pytest.mark.parametrize(("source", "target"), [(640, 320), (131, 48), (48, 48)])
def test_areas_are_shared_out_completely(source, target):
    weights = area_weights(source, target)
    assert weights.shape == (target, source)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(target))
    torch.testing.assert_close(weights.sum(dim=0), torch.full((source,), target / source))


def test_the_way_follows_the_engine(engine):
    kind = HostForward if engine.device == "cpu" else DeviceForward
    assert isinstance(depth_forward(engine), kind)
    assert Engine.device == "cpu"
