"""Names of tensors: from every published layout to the one of this package and back.

The layouts differ in wrappers (`module.`, the prefixes of peft), in the names that transformers
gave to DINOv2's attention (`query` before version 5, `q_proj` since) and in adapter suffixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class KeyTable:
    """Prefix pairs (published, own); `*` stands for a number."""

    def __init__(self, pairs: Iterable[tuple[str, str]], unused: str = "$^") -> None:
        pairs = list(pairs)
        self._to_own = [self._rule(published, own) for published, own in pairs]
        self._to_published = [self._rule(own, published) for published, own in pairs]
        self._unused = re.compile(unused)

    @staticmethod
    def _rule(source: str, target: str) -> tuple[re.Pattern[str], str]:
        numbers = iter(range(1, 10))
        pattern = re.escape(source).replace(r"\*", r"(\d+)")
        template = re.sub(r"\*", lambda _: rf"\{next(numbers)}", target)
        return re.compile(rf"^{pattern}(?=\.|$)"), template

    def uses(self, key: str) -> bool:
        """Whether the forward pass needs this published tensor."""
        return not self._unused.search(key)

    def own(self, key: str) -> str:
        """Name in this package; a name that no pair matches stays."""
        return self._first(self._to_own, key)

    def published(self, key: str) -> str:
        """Name in the published files."""
        return self._first(self._to_published, key)

    @staticmethod
    def _first(rules: list[tuple[re.Pattern[str], str]], key: str) -> str:
        for pattern, template in rules:
            if pattern.match(key):
                return pattern.sub(template, key)
        return key


_BLOCK = "backbone.encoder.layer.*"
_FUSION = "neck.fusion_stage.layers.*"

DEPTH_KEYS = KeyTable(
    [
        ("backbone.embeddings.cls_token", "backbone.class_token"),
        ("backbone.embeddings.position_embeddings", "backbone.position_embedding"),
        ("backbone.embeddings.patch_embeddings.projection", "backbone.patches"),
        ("backbone.layernorm", "backbone.norm"),
        (f"{_BLOCK}.attention.attention.query", "backbone.blocks.*.attention.query"),
        (f"{_BLOCK}.attention.attention.key", "backbone.blocks.*.attention.key"),
        (f"{_BLOCK}.attention.attention.value", "backbone.blocks.*.attention.value"),
        (f"{_BLOCK}.attention.output.dense", "backbone.blocks.*.attention.output"),
        (f"{_BLOCK}.layer_scale1.lambda1", "backbone.blocks.*.scale1"),
        (f"{_BLOCK}.layer_scale2.lambda1", "backbone.blocks.*.scale2"),
        (f"{_BLOCK}.mlp.fc1", "backbone.blocks.*.fc1"),
        (f"{_BLOCK}.mlp.fc2", "backbone.blocks.*.fc2"),
        (_BLOCK, "backbone.blocks.*"),
        ("neck.reassemble_stage.layers.*.projection", "neck.projections.*"),
        ("neck.reassemble_stage.layers.*.resize", "neck.resizes.*"),
        (f"{_FUSION}.residual_layer1.convolution1", "neck.fusions.*.lateral.conv1"),
        (f"{_FUSION}.residual_layer1.convolution2", "neck.fusions.*.lateral.conv2"),
        (f"{_FUSION}.residual_layer2.convolution1", "neck.fusions.*.merged.conv1"),
        (f"{_FUSION}.residual_layer2.convolution2", "neck.fusions.*.merged.conv2"),
        (_FUSION, "neck.fusions.*"),
    ],
    unused=r"^backbone\.embeddings\.mask_token$",
)

POSE_ENCODER_KEYS = KeyTable(
    [("encoder", "encoder.resnet"), ("attentions", "encoder.attentions")],
    unused=r"^encoder\.fc\.",
)

POSE_DECODER_KEYS = KeyTable(
    [
        ("net.0", "decoder.squeeze"),
        ("net.1", "decoder.motion1"),
        ("net.2", "decoder.motion2"),
        ("net.3", "decoder.motion3"),
        ("intrinsics_layers.0.conv.conv", "decoder.camera1"),
        ("intrinsics_layers.1.conv.conv", "decoder.camera2"),
        ("intrinsics_layers.4", "decoder.camera3"),
    ]
)

FLOW_ENCODER_KEYS = KeyTable(
    [
        ("encoder", "encoder.resnet"),
        ("attentions.*.fc.0", "encoder.attentions.*.squeeze"),
        ("attentions.*.fc.2", "encoder.attentions.*.excite"),
    ],
    unused=r"^encoder\.fc\.",
)


def _flow_decoder_keys(head: str) -> KeyTable:
    pairs = [(f"decoder.{10 + scale}{head}", f"decoder.heads.{scale}") for scale in range(4)]
    for step in range(5):
        pairs.append((f"decoder.{2 * step}.conv.conv", f"decoder.before.{step}"))
        pairs.append((f"decoder.{2 * step + 1}.conv.conv", f"decoder.after.{step}"))
    return KeyTable(pairs)


COMPONENT_KEYS = {  # by the name of the published file
    "depth_model": DEPTH_KEYS,
    "pose_encoder": POSE_ENCODER_KEYS,
    "pose": POSE_DECODER_KEYS,
    "position_encoder": FLOW_ENCODER_KEYS,
    "position": _flow_decoder_keys(head=""),
    "transform_encoder": FLOW_ENCODER_KEYS,
    "transform": _flow_decoder_keys(head=".conv"),
}


_WRAPPERS = [
    (r"^module\.", ""),  # torch.nn.DataParallel
    (r"(^|\.)base_model\.model\.", r"\1"),  # peft
    (r"\.base_layer\.", "."),  # peft: the layer under an adapter
    (r"\.lora_([AB])(\.\w+)?\.weight$", r".lora_\1"),  # \w+ is the adapter's name
    (r"\.lora_magnitude_vector(\.\w+){0,2}$", ".magnitude"),  # ends in .weight since peft 0.11
    (r"\.attention(\.attention)?\.q_proj\.", ".attention.attention.query."),  # transformers 5
    (r"\.attention(\.attention)?\.k_proj\.", ".attention.attention.key."),
    (r"\.attention(\.attention)?\.v_proj\.", ".attention.attention.value."),
    (r"\.attention(\.output)?\.o_proj\.", ".attention.output.dense."),
]


def unwrapped(key: str) -> str:
    """A published name without wrappers, in the spelling of transformers 4."""
    for pattern, replacement in _WRAPPERS:
        key = re.sub(pattern, replacement, key)
    return key
