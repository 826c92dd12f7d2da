"""The tissue map over DDS: as a message, saved, loaded, and refused where that makes no sense."""

import numpy as np
import pytest
from endosfm3d_ros.msg import GaussianMap
from endosfm3d_ros.srv import MapFile
from node_harness import LEFT, STEREO_TOPICS

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.messages.cloud import CLOUD_DTYPE
from endosfm3d_ros.tissue.store.splat_file import read_splats

START = 5 * 10**9


@pytest.fixture(scope="module")
def clip():
    return SimulatedSequence("moving", frames=6, width=320, height=256, fps=5, start=START)


def play(probe, frames):
    for frame in frames:
        probe.send_stereo(frame)
        assert probe.wait(lambda stamp=frame.stamp: stamp in probe.stamps("depth/image"))


def test_the_map_is_published_saved_and_loaded_again(start_node, probe, clip, tmp_path):
    from sensor_msgs.msg import PointCloud2

    start_node(tissue_map=True, map_folder=str(tmp_path))
    probe.collect("tissue/gaussians", GaussianMap)
    probe.collect("tissue/points", PointCloud2)
    probe.connect(*STEREO_TOPICS)
    early = probe.call("save_map", MapFile, path=str(tmp_path / "early.npz"))
    assert not early.success and "empty" in early.message
    play(probe, clip)
    message = probe.messages["tissue/gaussians"][-1]
    assert message.header.frame_id == LEFT and message.scale_source == "stereo"
    means = np.reshape(message.means, (message.count, 3))
    lengths = np.linalg.norm(np.reshape(message.quats, (message.count, 4)), axis=1)
    assert message.count > 3000 and np.allclose(lengths, 1, atol=1e-4)
    assert len(message.labels) == len(message.opacities) == message.count
    cloud = np.frombuffer(probe.messages["tissue/points"][-1].data, CLOUD_DTYPE)
    assert np.median(means[:, 2]) == pytest.approx(float(np.median(cloud["z"])), rel=0.01)

    native, splats = tmp_path / "map.npz", tmp_path / "map.ply"
    for path in (native, splats):
        saved = probe.call("save_map", MapFile, path=str(path))
        assert saved.success and "Gaussians saved" in saved.message
    assert len(read_splats(splats)["means"]) > 3000
    loaded = probe.call("load_map", MapFile, path=str(native))
    assert loaded.success, loaded.message
    again = SimulatedSequence("moving", frames=7, width=320, height=256, fps=5, start=START)
    play(probe, [again[6]])
    assert probe.messages["tissue/gaussians"][-1].count > 3000

    for service, path, reason in (
        ("save_map", tmp_path / "map.obj", ".npz or .ply are accepted"),
        ("save_map", tmp_path / "nowhere" / "map.npz", "does not exist"),
        ("load_map", splats, ".npz file of ~/save_map is accepted"),
        ("load_map", tmp_path / "missing.npz", "is not a tissue map"),
    ):
        answer = probe.call(service, MapFile, path=str(path))
        assert not answer.success and reason in answer.message


def test_without_a_map_there_is_nothing_to_save(start_node, probe, clip, tmp_path):
    start_node(tissue_map=False)
    probe.connect(*STEREO_TOPICS)
    play(probe, [clip[0]])
    answer = probe.call("save_map", MapFile, path=str(tmp_path / "map.npz"))
    assert not answer.success and "tissue_map" in answer.message
