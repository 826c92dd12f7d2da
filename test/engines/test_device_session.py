"""Pointers, streams and shapes: with torch as the program, on the processor and on any GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from endosfm3d_ros.engines import TensorSpec
from endosfm3d_ros.engines.device_engine import DeviceEngine
from endosfm3d_ros.engines.device_session import DeviceSession
from endosfm3d_ros.engines.memory import tensor_at
from endosfm3d_ros.engines.torch_program import TorchProgram
from endosfm3d_ros.errors import InputError

INPUTS = (TensorSpec("image", (1, 3, 24, 40)),)
OUTPUTS = (TensorSpec("map", (1, 1, 24, 40)), TensorSpec("vector", (1, 3)))
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU and torch with CUDA")
DEVICES = ["cpu", pytest.param("cuda", marks=cuda)]


class Counting(TorchProgram):
    """Counts how often an address was told and a run was queued."""

    binds, runs = 0, 0

    def bind(self, name, address):
        self.binds += 1
        super().bind(name, address)

    def enqueue(self, stream):
        self.runs += 1
        super().enqueue(stream)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["launched", "recorded"])
def session(request, network, device):
    if device == "cpu" and request.param:
        pytest.skip("there are no graphs on the processor")
    program = Counting(network.to(device), INPUTS, OUTPUTS, device)
    return DeviceSession(INPUTS, OUTPUTS, program, device, graph=request.param)


@pytest.fixture
def expected(network):
    def run(image):
        with torch.inference_mode():
            device = next(network.parameters()).device
            return [x.cpu().numpy() for x in network(torch.from_numpy(image).to(device))]

    return run


def test_arrays_to_arrays(session, image, expected):
    for _ in range(2):
        outputs = session.run_arrays(image)
        for value, reference in zip(outputs.values(), expected(image["image"])):
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


def test_arrays_belong_to_the_caller(session, image):
    first = session.run_arrays(image)
    kept = {name: value.copy() for name, value in first.items()}
    session.run_arrays({"image": image["image"] * 0})
    for name, value in first.items():
        np.testing.assert_array_equal(value, kept[name])


def test_tensors_stay_on_the_device(session, device, image, expected):
    tensor = torch.from_numpy(image["image"]).to(device)
    outputs = session.run_tensors({"image": tensor})
    assert {value.device.type for value in outputs.values()} == {device}
    for value, reference in zip(outputs.values(), expected(image["image"])):
        np.testing.assert_allclose(value.cpu().numpy(), reference, rtol=1e-4, atol=1e-5)
    again = session.run_tensors({"image": tensor * 0})
    assert not torch.equal(outputs["map"], again["map"])


def test_results_of_many_runs_do_not_mix(session, device, expected):
    """Nothing waits between the runs: only streams keep them in order."""
    images = np.random.default_rng(0).random((16, 1, 3, 24, 40), np.float32)
    outputs = [
        session.run_tensors({"image": torch.from_numpy(image).to(device)})["map"]
        for image in images
    ]
    for image, output in zip(images, outputs):
        np.testing.assert_allclose(output.cpu().numpy(), expected(image)[0], rtol=1e-4, atol=1e-5)


def test_without_a_graph_nothing_is_copied(network, device, image):
    """The program is told the addresses of the caller's input and of the new outputs."""
    program = Counting(network.to(device), INPUTS, OUTPUTS, device)
    session = DeviceSession(INPUTS, OUTPUTS, program, device, graph=False)
    tensor = torch.from_numpy(image["image"]).to(device)
    outputs = session.run_tensors({"image": tensor})
    assert program._tensors["image"].data_ptr() == tensor.data_ptr()
    assert program._tensors["map"].data_ptr() == outputs["map"].data_ptr()


def test_addresses_are_told_only_when_they_change(network, device, image):
    program = Counting(network.to(device), INPUTS, OUTPUTS, device)
    session = DeviceSession(INPUTS, OUTPUTS, program, device, graph=False)
    for _ in range(5):
        session.run_arrays(image)
    assert (program.binds, program.runs) == (3, 5)


@cuda
def test_a_graph_replaces_the_launches(network, image):
    program = Counting(network.cuda(), INPUTS, OUTPUTS, "cuda")
    session = DeviceSession(INPUTS, OUTPUTS, program, "cuda", graph=True)
    assert session.recorded
    runs = program.runs
    session.run_arrays(image)
    assert program.runs == runs


@cuda
def test_a_program_that_cannot_be_recorded_runs_all_the_same(network, image, expected, caplog):
    class Waiting(TorchProgram):
        def enqueue(self, stream):
            super().enqueue(stream)
            torch.cuda.synchronize()  # not allowed while a graph is recorded

    program = Waiting(network.cuda(), INPUTS, OUTPUTS, "cuda")
    session = DeviceSession(INPUTS, OUTPUTS, program, "cuda", graph=True)
    assert not session.recorded
    assert "not recorded as a CUDA graph" in caplog.text
    value = session.run_arrays(image)["map"]
    np.testing.assert_allclose(value, expected(image["image"])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[..., :-1],
        lambda x: x.double(),
        lambda x: x.transpose(2, 3).transpose(2, 3)[:, :, ::2],
    ],
    ids=["shape", "type", "stride"],
)
def test_wrong_tensors_are_named(session, device, image, change):
    tensor = change(torch.from_numpy(image["image"]).to(device))
    with pytest.raises(InputError, match=r"tensor 'image' is .*\[1, 3, 24, 40\]"):
        session.run_tensors({"image": tensor})


def test_threads_get_their_own_answers(session, device, image):
    engine = DeviceEngine(session)
    images = [image["image"] * factor for factor in (0.1, 0.5, 1.0)]
    expected = [engine.run({"image": one})["map"] for one in images]

    def run(i):
        if i % 2:
            return i, engine.run({"image": images[i % 3]})["map"]
        tensor = torch.from_numpy(images[i % 3]).to(device)
        return i, engine.run_tensors({"image": tensor})["map"].cpu().numpy()

    with ThreadPoolExecutor(4) as threads:
        for i, answer in threads.map(run, range(60)):
            np.testing.assert_allclose(answer, expected[i % 3], rtol=1e-4, atol=1e-6)


def test_foreign_memory_is_seen_and_not_copied(device):
    owner = torch.arange(6, dtype=torch.float32, device=device)
    view = tensor_at(owner.data_ptr(), TensorSpec("x", (2, 3)), device)
    view[1, 2] = 50.0
    assert owner[5] == 50.0
    assert view.tolist()[0] == [0.0, 1.0, 2.0]
