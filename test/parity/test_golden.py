"""Agreement with the published code, where its golden vectors are beside this checkout.

Deliberate mistakes must break it, so that agreement means something.
"""

import json
import shutil
from functools import cache, partial
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from endosfm3d_ros.evaluation.parity import PARTS, depth, geometry, pose, run
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.networks import checkpoints, dinov2, dpt
from endosfm3d_ros.networks.dora import DoRALinear
from endosfm3d_ros.networks.patch_attention import PatchAttention

pytestmark = pytest.mark.shared

STEMS = ("endosfm3d_depth", "endosfm3d_pose", "endosfm3d_train")
UNREAD = {  # facts about the arrays, no results
    "occlusion_map_min_dist_to_threshold_m1",
    "occlusion_map_min_dist_to_threshold_p1",
}


@pytest.fixture(scope="module")
def folder(shared):
    """The golden folder; weights are made once for all tests."""
    golden = GoldenFolder(shared / "golden")
    golden.weights = cache(golden.weights)
    return golden


def computed(checks, *names):
    """The checks of these names; nothing after the last of them is computed."""
    found = {}
    while len(found) < len(names):
        check = next(checks)
        if check.name in names:
            found[check.name] = check
    return found


def test_everything_agrees_and_every_array_is_compared(shared, monkeypatch):
    read = {stem: set() for stem in STEMS}
    original = GoldenArrays.__getitem__

    def recorded(self, name):
        read.setdefault(self._path.stem, set()).add(name)
        return original(self, name)

    monkeypatch.setattr(GoldenArrays, "__getitem__", recorded)
    only = [stem for stem in PARTS if stem != "openlrm_base"]  # a test of its own: 260 M weights
    results = {f"{stem}/{check.name}": check for stem, check in run(shared / "golden", only)}
    assert {name for name, check in results.items() if check.ok is False} == set()
    for stem in STEMS:
        stored = set(GoldenFolder(shared / "golden").arrays(stem))
        assert stored - read[stem] - UNREAD == set()


def test_weights_of_another_seed_disagree(shared, tmp_path):
    copy = shutil.copytree(shared / "golden", tmp_path / "golden")
    copy.chmod(0o755)
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").write_text(json.dumps({"seed": 2}))
    other = GoldenFolder(copy)
    names = ("feat0_m1_mean_std", "feat4_m1", "axisangle_m1", "translation_m1", "K_m1", "T_m1")
    assert not any(check.ok for check in computed(pose.checks(other), *names).values())
    network_free = geometry.checks(other.arrays("endosfm3d_train"), other.arrays("endosfm3d_pose"))
    assert all(check.ok for check in network_free)


def patched_functional(module, monkeypatch, **changes):
    """Replace functions of torch.nn.functional as this module sees it."""
    names = [name for name in dir(F) if not name.startswith("_")]
    functions = {name: getattr(F, name) for name in names} | changes
    monkeypatch.setattr(module, "F", SimpleNamespace(**functions))


def ignore_adapters(monkeypatch):
    monkeypatch.setattr(checkpoints, "merged_weight", lambda weight, *_: weight)
    monkeypatch.setattr(DoRALinear, "forward", lambda self, x: F.linear(x, self.weight, self.bias))


def forget_magnitudes(monkeypatch):
    monkeypatch.setattr(
        checkpoints, "merged_weight", lambda w, a, b, _, scaling: w + scaling * b @ a
    )


def normalise_as_imagenet(monkeypatch):
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    original = GoldenArrays.image
    monkeypatch.setattr(GoldenArrays, "image", lambda self, n: (original(self, n) - mean) / std)


def antialias_positions(monkeypatch):
    patched_functional(dinov2, monkeypatch, interpolate=partial(F.interpolate, antialias=True))


def unaligned_corners(monkeypatch):
    def interpolate(x, size, **options):
        return F.interpolate(x, size, **(options | {"align_corners": False}))

    patched_functional(dpt, monkeypatch, interpolate=interpolate)


@pytest.mark.parametrize(
    ("mistake", "smallest_error", "form"),
    [
        (ignore_adapters, 0.1, "adapters"),
        (ignore_adapters, 0.1, "merged"),
        (forget_magnitudes, 0.01, "merged"),
        (normalise_as_imagenet, 0.3, "merged"),
        (antialias_positions, 0.04, "merged"),
        (unaligned_corners, 0.2, "merged"),
    ],
)
def test_mistakes_in_the_depth_network_are_found(
    folder, monkeypatch, mistake, smallest_error, form
):
    mistake(monkeypatch)
    name = f"{form}_disp_0"
    check = computed(depth.checks(folder), name)[name]
    assert check.ok is False
    assert check.error > smallest_error


def swap_frames(monkeypatch):
    monkeypatch.setattr(pose, "network_pair", lambda source, target: torch.cat([target, source], 1))


def leave_attention_out(monkeypatch):
    monkeypatch.setattr(PatchAttention, "forward", lambda self, x: torch.ones_like(x[:, :1]))


@pytest.mark.parametrize("mistake", [swap_frames, leave_attention_out, normalise_as_imagenet])
def test_mistakes_in_the_pose_network_are_found(folder, monkeypatch, mistake):
    mistake(monkeypatch)
    names = ("axisangle_m1", "translation_m1", "K_m1", "K_published_m1")
    for name, check in computed(pose.checks(folder), *names).items():
        assert check.ok is False, name
