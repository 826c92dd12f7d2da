"""The two ways of training: as published, and the package's own. One frozen dataclass each way.

`released` repeats the published configuration of EndoSfM3D. `ours` repairs what its method text,
its predecessors and its own released code disagree on; every difference is named beside its field.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.dora import DoRAConfig

SMALLEST_SIDE = 161  # px; MS-SSIM: five scales of an 11-tap window
SMALLEST_SIDE_PER_PIXEL = 96  # px; the same, with windows across the border
PATCH = 14  # px; side of a transformer patch


@dataclass(frozen=True)
class ColourJitter:
    """Random change of colours, as far as Monodepth2 (Godard et al. 2019) goes."""

    probability: float = 0.5
    brightness: float = 0.2  # factor 0.8 .. 1.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1  # of the colour circle, both ways
    shared: bool = False  # one draw for all three images; released: one for each


@dataclass(frozen=True)
class Optimisation:
    """Adam (Kingma and Ba 2015) with steps down, for one group of networks."""

    learning_rate: float
    eps: float = 1e-7
    weight_decay: float = 1e-7
    step_epochs: int = 10  # epochs between two steps down
    step_factor: float = 0.1


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms beside the photometric one; smoothness halves with every scale.

    The defaults are those of the released configuration, which leaves the last three out.
    """

    flow_smoothness: float = 1e-5
    disparity_smoothness: float = 1e-5
    transform_constraint: float = 0.0
    transform_smoothness: float = 0.0
    camera_agreement: float = 0.0  # of the intrinsics of one clip


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training computes, but for the data and the first weights.

    Raises:
        ConfigurationError: a size or count that cannot be trained with.
    """

    name: str
    image_size: tuple[int, int] = (256, 320)  # (height, width) of losses, flow and pose networks
    depth_size: tuple[int, int] = (256, 320)  # of the depth network's input
    batch_size: int = 10
    epochs: int = 20
    max_rate: float | None = None  # Hz; neighbours of a faster video are taken further apart
    resampling: str = "lanczos"  # Pillow's, or "area", which the live node uses
    undistorted: bool = False  # remove lens distortion where the recording says how
    flip_probability: float = 0.5  # left to right
    jitter: ColourJitter = field(default_factory=ColourJitter)
    adapter: DoRAConfig = field(default_factory=DoRAConfig)  # rank 14, alpha 16, dropout 0.1
    flow: Optimisation = Optimisation(learning_rate=1e-4)
    depth: Optimisation = Optimisation(learning_rate=1e-5)
    weights: LossWeights = field(default_factory=LossWeights)
    per_pixel: bool = False  # structure, occlusion and the better neighbour are judged per pixel
    masked: bool = False  # instruments, highlights and black borders do not enter the losses
    clip_camera: bool = False  # one camera matrix for all pairs of a batch, which is of one clip
    initial_focal: float | None = None  # of the image width, where the pose network starts anew
    gradient_limit: float | None = None  # L2 norm over a group's parameters
    seed: int = 23333666

    def __post_init__(self) -> None:
        smallest = SMALLEST_SIDE_PER_PIXEL if self.per_pixel else SMALLEST_SIDE
        if min(self.image_size) < smallest:
            raise ConfigurationError(
                f"image size {self.image_size}: both sides must be at least {smallest} px"
            )
        if min(self.depth_size) < PATCH:
            raise ConfigurationError(
                f"depth size {self.depth_size}: both sides must be at least {PATCH} px"
            )
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} {getattr(self, name)}: 1 or more is accepted")


# As in the released training script (AttnEncoderOpt). Frames -1, 0, +1; four scales; both losses
# are minimised on every batch, the flow first. What the code only defines is not used here either.
# Two things around the recipe differ: a target without neighbour is left out (the code takes frame
# 0 of the folder instead), and networks are chosen on held-out frames (the code: on the test set).
RELEASED = Recipe(name="released")

OURS = Recipe(
    name="ours",
    # Whole patches: at 256 x 320 the network never sees the bottom 4 rows and right 12 columns,
    # but its map is stretched over them. Flow and pose networks need multiples of 32.
    depth_size=(252, 322),
    resampling="area",
    undistorted=True,  # the losses know a pinhole only
    max_rate=10.0,  # at 25 to 60 Hz an endoscope moves by less than a pixel between most frames
    # Jitter that differs within a triplet teaches the flow to see light changes that are none.
    jitter=ColourJitter(shared=True),
    # AF-SfMLearner (Shao et al. 2022): 1e-4 for all, smoothness 1e-3 and 1e-4, and two terms that
    # keep the brightness change from explaining the whole image away.
    depth=Optimisation(learning_rate=1e-4),
    weights=LossWeights(
        flow_smoothness=1e-3,
        disparity_smoothness=1e-4,
        transform_constraint=0.01,
        transform_smoothness=0.01,
        camera_agreement=0.01,
    ),
    per_pixel=True,  # minimum over neighbours: Godard et al. 2019, section 3.2
    masked=True,
    clip_camera=True,  # the zoom of an endoscope does not change from pair to pair
    initial_focal=0.82,  # as the live node; a view of 63 degrees, in the middle of what scopes have
    gradient_limit=1.0,  # one badly registered batch must not undo an adapter
)

RECIPES = {recipe.name: recipe for recipe in (OURS, RELEASED)}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in RECIPES:
        raise ConfigurationError(f"recipe '{name}': accepted are {', '.join(RECIPES)}")
    return RECIPES[name]
