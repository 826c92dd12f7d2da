"""Real nodes over real DDS."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from node_fixtures import probe, start_node  # noqa: F401
