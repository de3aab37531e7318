"""EfficientNet-Lite0 in torch, with the weights that `lite0` runs on onnxruntime: the same numbers, but trainable.

Batch normalisation is folded into the convolutions, so its statistics stay those of ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.encode.onnx_lite0 import STAGES, folded
from salon.encode.torch_file import read_torch
from salon.encode.tower_blocks import Pixels
from salon.encode.weights import source_file

CHANNELS = 1280


class SameConv(nn.Conv2d):
    """A convolution padded as in TensorFlow: as many places out as in / stride, more padding at the end."""

    def forward(self, values: Tensor) -> Tensor:
        """(n, ins, h, w) -> (n, outs, h / stride, w / stride)."""
        if self.kernel_size == (1, 1):
            return super().forward(values)
        stride, kernel = self.stride[0], self.kernel_size[0]
        pads = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in values.shape[2:]]
        (top, left) = (pad // 2 for pad in pads)
        return super().forward(functional.pad(values, (left, pads[1] - left, top, pads[0] - top)))


class Stem(nn.Module):
    """Pixels, and the first convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.conv = Pixels(), SameConv(3, 32, 3, stride=2)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, side, side, 3) uint8 -> (n, 32, side / 2, side / 2)."""
        return functional.relu6(self.conv(self.pixels(values, lengths)))


class Bottleneck(nn.Module):
    """Expand, convolve each channel by itself, project; with a shortcut where the shapes agree."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = ins * expansion
        self.add = stride == 1 and ins == outs
        self.expand = SameConv(ins, inner, 1) if expansion != 1 else nn.Identity()
        self.depthwise = SameConv(inner, inner, kernel, stride=stride, groups=inner)
        self.project = SameConv(inner, outs, 1)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, ins, h, w) -> (n, outs, h / stride, w / stride)."""
        inner = values if isinstance(self.expand, nn.Identity) else functional.relu6(self.expand(values))
        found = self.project(functional.relu6(self.depthwise(inner)))
        return values + found if self.add else found


class Top(nn.Module):
    """The last convolution, to 1280 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SameConv(320, CHANNELS, 1)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, 320, h, w) -> (n, 1280, h, w)."""
        return functional.relu6(self.conv(values))


def lite0_blocks() -> list[nn.Module]:
    """Stem, 16 bottlenecks and top, not trained."""
    blocks, ins = [Stem()], 32
    for kernel, first, expansion, outs, repeats in STAGES:
        for repeat in range(repeats):
            blocks.append(Bottleneck(ins, outs, kernel, first if repeat == 0 else 1, expansion))
            ins = outs
    return [*blocks, Top()]


def load_lite0(blocks: list[nn.Module]) -> None:
    """Puts the weights of ImageNet into the blocks of `lite0_blocks`.

    Raises:
        WeightsError: The weight file is not there or is not the one we know.
    """
    weights = read_torch(source_file("lite0", "state"))
    _fill(blocks[0].conv, weights, "_conv_stem", "_bn0")
    for number, block in enumerate(blocks[1:-1]):
        name, expands = f"_blocks.{number}", not isinstance(block.expand, nn.Identity)
        if expands:
            _fill(block.expand, weights, f"{name}._expand_conv", f"{name}._bn0")
        _fill(block.depthwise, weights, f"{name}._depthwise_conv", f"{name}._bn1")
        _fill(block.project, weights, f"{name}._project_conv", f"{name}._bn2")
    _fill(blocks[-1].conv, weights, "_conv_head", "_bn1")


def _fill(conv: nn.Module, weights: Mapping[str, np.ndarray], name: str, norm: str) -> None:
    """Kernel and bias of a convolution with its batch normalisation folded in."""
    kernel, bias = folded(weights, name, norm)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(np.asarray(kernel, np.float32)))
        conv.bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))
