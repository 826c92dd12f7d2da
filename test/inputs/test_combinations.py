"""Generated cameras, lenses, crops, binnings, encodings and names: right to 1 %, or refused."""

from __future__ import annotations

import pytest
from combinations import (
    FEW,
    Case,
    cases,
    error_of,
    estimated,
    few_or_all,
    generated,
    message_of,
    require_right,
    tally,
)

from endosfm3d_ros.inputs.contract import CameraContract, EyeTopics
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.report import InputReport


def outcome(case: Case) -> str:
    """What becomes of a case: "right", "refused", or an assertion that fails."""
    report = InputReport()
    contract = CameraContract(
        EyeTopics(f"/left/{case.word}", "/left/camera_info"),
        EyeTopics(f"/right/{case.word}", "/right/camera_info"),
        report,
    )
    left, right = (
        PixelReader(f"/{eye}/{case.word}", report).picture(message_of(picture, case.encoding))
        for eye, picture in zip(("left", "right"), case.pictures())
    )
    sent = dict(zip(("left", "right"), case.infos()))
    for part in case.order:
        if part == "size":
            contract.set_size(left.shape[1::-1])
        else:
            contract.set_info(part, sent[part])
    contract.judge(left, right)
    if contract.stereo is None:
        assert any(entry.action == "refused" for entry in report.entries), case
        return "refused"
    found = estimated(left, right, contract.stereo)
    return require_right(error_of(found, contract.stereo.left, case), case, report.entries)


@pytest.mark.parametrize("count", few_or_all(100))
def test_the_cloud_of_a_pair_is_right_or_refused(count):
    """Few may be refused: a door that is always shut lets nothing wrong through either."""
    outcomes = tally("pairs, messages", (outcome(case) for case in generated(cases, count)))
    assert outcomes["refused"] < FEW * outcomes["right"], outcomes
