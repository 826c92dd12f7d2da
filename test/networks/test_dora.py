"""Adapter: active and merged forms agree, and the gradient follows the paper."""

import torch
from torch import nn

from endosfm3d_ros.networks.dora import (
    DoRAConfig,
    DoRALinear,
    attach_adapters,
    merge_adapters,
    merged_weight,
)


def adapted(seed=0):
    torch.manual_seed(seed)
    layer = DoRALinear(nn.Linear(12, 9), DoRAConfig(rank=3, alpha=5.0)).eval()
    with torch.no_grad():
        layer.lora_B.normal_()
        layer.magnitude.uniform_(0.5, 2)
    return layer


def test_a_new_adapter_changes_nothing():
    linear = nn.Linear(12, 9)
    x = torch.randn(4, 12)
    expected = linear(x)
    torch.testing.assert_close(DoRALinear(linear, DoRAConfig()).eval()(x), expected)


def test_merged_and_active_forms_agree():
    layer = adapted()
    x = torch.randn(4, 12)
    merged = layer.merge()
    assert type(merged) is nn.Linear
    torch.testing.assert_close(merged(x), layer(x), rtol=1e-5, atol=1e-6)
    assert torch.equal(merged.bias, layer.bias)


def test_rows_of_the_merged_weight_have_the_learned_magnitude():
    layer = adapted()
    rows = layer.merge().weight.norm(dim=1)
    torch.testing.assert_close(rows, layer.magnitude.detach())


def test_merge_formula_by_hand():
    weight, A, B = torch.eye(2), torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0], [0.0]])
    merged = merged_weight(weight, A, B, torch.tensor([5.0, 3.0]), scaling=2.0)
    expected = torch.tensor([[5 / 17**0.5, 20 / 17**0.5], [0.0, 3.0]])  # row 0 is (1, 4)
    torch.testing.assert_close(merged, expected)


def test_the_norm_is_a_constant_in_the_gradient():
    layer = adapted()
    x = torch.randn(4, 12)
    layer(x).sum().backward()
    norm = (layer.weight + layer.scaling * layer.lora_B @ layer.lora_A).norm(dim=1).detach()
    expected = (layer.magnitude / norm)[:, None] * x.sum(dim=0)  # d/dW of m / norm W x
    torch.testing.assert_close(layer.weight.grad, expected.detach())


def test_attach_and_merge_touch_only_the_named_layers():
    block = nn.ModuleDict({"query": nn.Linear(4, 4), "key": nn.Linear(4, 4)})
    attach_adapters(block)
    assert isinstance(block["query"], DoRALinear)
    assert type(block["key"]) is nn.Linear
    merge_adapters(block)
    assert type(block["query"]) is nn.Linear


def test_dropout_acts_in_training_only():
    layer = adapted()
    x = torch.randn(64, 12)
    assert torch.equal(layer(x), layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))
