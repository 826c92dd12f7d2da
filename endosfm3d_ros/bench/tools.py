"""How long it takes to place a tool, beside the published exhaustive search on the same mesh."""

from __future__ import annotations

from endosfm3d_ros.bench.generated_tool import generated_model, motion, observed, placed
from endosfm3d_ros.bench.rounds import Result, interleaved, summary
from endosfm3d_ros.tools.models.capsule import CapsuleSource
from endosfm3d_ros.tools.opjpo import BirthAligner, JointAligner
from endosfm3d_ros.tools.opjpo.paper import (
    PaperConfig,
    exhaustive_search,
    orthographic_scale,
    tissue_points,
)

FRAMES = 12
REFERENCE = "tool_exhaustive_search"


def bench_tools(rounds: int = 5) -> Result:
    """`tool_first_placement`, `tool_tracked_step` and others against `tool_exhaustive_search`.

    The search tries the published 10 x 10 x 20 translations of all vertices (about 10 000); the
    first placement starts without a previous pose; a tracked step is one of a whole motion, timed
    together, because a step after a pause takes half as long again. Preparing a model (decimation)
    happens once in its life and is timed apart.
    """
    model = generated_model()
    observations = [observed(model, placed(model, *pose)) for pose in motion(FRAMES)]
    first = observations[0]
    aligner = JointAligner(model)
    placements = [aligner.place(observation) for observation in observations]
    steps = list(zip(observations[1:] + observations[:1], placements))
    posed = BirthAligner(model).points
    tissue = tissue_points(first.mask, first.tissue_depth, first.camera)
    scaled = orthographic_scale(posed, tissue, PaperConfig()).s * posed
    runs = {
        REFERENCE: lambda: exhaustive_search(scaled, first.mask, first.camera, PaperConfig()),
        "tool_first_placement": lambda: aligner.place(first),
        "tool_tracked_step": lambda: [aligner.place(*step) for step in steps],
        "tool_model_preparation": lambda: JointAligner(model),
        "tool_capsule_model": lambda: CapsuleSource().model(first),
    }
    references = {name: REFERENCE for name in ("tool_first_placement", "tool_tracked_step")}
    times = interleaved(runs, rounds)
    times["tool_tracked_step"] /= len(steps)
    return summary(times, references)
