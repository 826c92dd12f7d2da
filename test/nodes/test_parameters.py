"""The shipped parameter file and the node's table say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node.parameter_table import BY_NAME, SPECS
from endosfm3d_ros.nodes.node.parameters import check, pipeline_config
from endosfm3d_ros.nodes.node.reference import parameter_file, reference_page
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tools.stage import ToolsConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config" / "pipeline.yaml"


def defaults() -> dict[str, object]:
    return {spec.name: spec.default for spec in SPECS}


def test_the_shipped_file_lists_every_parameter_with_its_default():
    assert yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"] == defaults()


def test_parameter_file_and_reference_are_those_of_the_tables():
    assert CONFIG.read_text() == parameter_file()
    assert (ROOT / "docs" / "reference.md").read_text() == reference_page()


def test_every_parameter_says_what_it_means():
    for spec in SPECS:
        assert len(spec.meaning) > 5
        assert spec.descriptor().description.startswith(spec.meaning)
        assert (spec.low is None) == (spec.high is None)


@pytest.mark.parametrize("name", [spec.name for spec in SPECS if spec.choices])
def test_choices_are_checked(name):
    assert BY_NAME[name].default in BY_NAME[name].choices
    result = check([Parameter(name, value="nonsense")], configured=False)
    assert not result.successful
    assert "nonsense" in result.reason


def test_the_table_makes_the_settings_of_the_core():
    config = pipeline_config(defaults() | {"tissue_map": True, "tools": "colour"})
    assert config.tissue is not None
    assert pipeline_config(defaults()).tools.masks == "auto"  # the complete scene by default
    assert pipeline_config(defaults()).tissue is not None
    without = pipeline_config(defaults() | {"tissue_map": False, "tools": "off"})
    assert without.tools is None and without.tissue is None
    assert config.tissue == TissueConfig()
    assert config.tools == ToolsConfig(masks="colour")
    with pytest.raises(ConfigurationError, match="min_depth"):
        pipeline_config(defaults() | {"min_depth": 0.5})
