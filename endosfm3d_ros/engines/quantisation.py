"""OpenVINO models in int8, calibrated on the user's own images (nncf, post-training).

Settings were chosen on the depth network with generated weights, calibrated on 17 endoscopic
images and scored on 10 others (median depth against torch, worst image):

    transformer preset                                     1.6 %
    ... without the patch embedding                        0.6 %
    ... and without the last layer of the head             0.5 %
    ... with 6 instead of 17 images, nothing left out      3.2 %
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from endosfm3d_ros.engines.source import BackEndError, BuildSource
from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from openvino import Model

MIN_IMAGES = 8  # below, the ranges are those of single images


def quantised(model: Model, source: BuildSource) -> Model:
    """The model with int8 weights and activations, apart from the recipe's `float_nodes`.

    The last image is kept back for the parity check.

    Raises:
        BackEndError: nncf is not installed.
        ConfigurationError: too few images.
    """
    inputs = source.calibration
    if len(inputs) <= MIN_IMAGES:
        raise ConfigurationError(
            f"{len(inputs)} images to calibrate int8 on: more than {MIN_IMAGES} are needed"
        )
    try:
        import nncf
    except ImportError as error:
        raise BackEndError("int8 needs the package nncf: pip install nncf") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # it lists every layer it leaves alone
    ignored = nncf.IgnoredScope(patterns=list(source.recipe.float_nodes), validate=False)
    return nncf.quantize(
        model,
        nncf.Dataset(inputs[:-1]),
        subset_size=len(inputs) - 1,
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=ignored,
    )
