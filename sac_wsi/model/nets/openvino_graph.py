"""The prompters as graphs of OpenVINO, built from the tensors of a checkpoint, without PyTorch.

The layers are those of ``unet.py`` and ``lite.py``; batch norms are folded into the convolutions before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from sac_wsi.model.nets.sizes import LITE_STAGES, LITE_TAKEN, UNET_LEVELS
from sac_wsi.model.points.prompts import PROBABILITY_MAPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sac_wsi.model.nets.sizes import PrompterSize

Node = Any
"""An operation of a graph; OpenVINO has no types for them."""
_EPSILON = 1e-5


def prompter_graph(
    size: PrompterSize,
    tensors: Mapping[str, NDArray[Any]],
    side_px: int,
    pixel_mean: tuple[float, float, float],
    pixel_std: tuple[float, float, float],
) -> ov.Model:
    """Return the graph from RGB pixels (1, side, side, 3) uint8 to maps (1, M, side, side).

    Args:
        size: Kind, width and maps of the prompter.
        tensors: Tensors of the prompter by name, without a prefix.
        side_px: Side of a tile.
        pixel_mean: Subtracted from R, G and B.
        pixel_std: By which they are then divided.

    Returns:
        Its maps are probabilities, except the offsets of five maps.
    """
    layers = _Layers({name: np.asarray(value, np.float32) for name, value in tensors.items()})
    pixels = ops.parameter([1, side_px, side_px, 3], np.uint8, name="pixels")
    x = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (pixel_mean, pixel_std))
    x = ops.divide(ops.subtract(x, mean), std)
    logits = _lite(layers, x) if size.kind == "lite0" else _unet(layers, x)
    if size.maps <= PROBABILITY_MAPS:
        maps = ops.sigmoid(logits)
    else:
        parts = ops.variadic_split(logits, 1, [PROBABILITY_MAPS, size.maps - PROBABILITY_MAPS])
        maps = ops.concat([ops.sigmoid(parts.output(0)), parts.output(1)], 1)
    return ov.Model([ops.result(maps)], [pixels], "prompter")


class _Layers:
    """The layers of a network by the names of their tensors."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._tensors = tensors

    def convolution(self, x: Node, name: str, norm: str = "", *, stride: int = 1, groups: int = 1) -> Node:
        """Convolve, with the batch norm called ``norm``, or with a bias."""
        weight = self._tensors[f"{name}.weight"]
        if norm:
            scale = self._tensors[f"{norm}.weight"] / np.sqrt(
                self._tensors[f"{norm}.running_var"] + np.float32(_EPSILON)
            )
            bias = self._tensors[f"{norm}.bias"] - self._tensors[f"{norm}.running_mean"] * scale
            weight = weight * scale[:, None, None, None]
        else:
            bias = self._tensors[f"{name}.bias"]
        pad = [weight.shape[2] // 2] * 2
        if groups > 1:
            weight = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
            x = ops.group_convolution(x, ops.constant(weight), [stride] * 2, pad, pad, [1, 1])
        else:
            x = ops.convolution(x, ops.constant(weight), [stride] * 2, pad, pad, [1, 1])
        return ops.add(x, bias.reshape(1, -1, 1, 1))

    def refinements(self, x: Node, name: str) -> Node:
        """Apply the convolutions that add to their input, as many as there are."""
        number = 0
        while f"{name}.{number}.layers.0.weight" in self._tensors:
            layer = f"{name}.{number}.layers"
            x = ops.relu(ops.add(x, self.convolution(x, f"{layer}.0", f"{layer}.1")))
            number += 1
        return x

    def upsampling(self, x: Node, name: str) -> Node:
        """Apply a transposed convolution of stride 2 with 2×2 weights and a bias."""
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        x = ops.convolution_backprop_data(x, ops.constant(weight), [2, 2])
        return ops.add(x, bias.reshape(1, -1, 1, 1))


def _unet(layers: _Layers, x: Node) -> Node:
    def double(x: Node, name: str) -> Node:
        for number in (0, 3):
            x = ops.relu(layers.convolution(x, f"{name}.{number}", f"{name}.{number + 1}"))
        return x

    skips = []
    for level in range(UNET_LEVELS):
        x = double(x, f"down.{level}")
        skips.append(x)
        x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    x = double(x, f"down.{UNET_LEVELS}")
    for level in range(UNET_LEVELS):
        x = ops.concat([layers.upsampling(x, f"upsample.{level}"), skips.pop()], 1)
        x = double(x, f"up.{level}")
    return layers.convolution(x, "out")


def _lite(layers: _Layers, x: Node) -> Node:
    *skips, x = _lite_encoder(layers, x)
    x = layers.refinements(ops.relu(layers.convolution(x, "neck.0", "neck.1")), "refine.0")
    for level in range(len(LITE_TAKEN) - 1):
        x = ops.relu(layers.convolution(x, f"reduce.{level}.0", f"reduce.{level}.1"))
        x = ops.interpolate(
            x,
            np.array([2.0, 2.0], np.float32),
            "nearest",
            "scales",
            [0, 0],
            [0, 0],
            "asymmetric",
            nearest_mode="floor",
            axes=np.array([2, 3]),
        )
        x = ops.concat([x, skips.pop()], 1)
        x = ops.relu(layers.convolution(x, f"up.{level}.0", f"up.{level}.1"))
        x = layers.refinements(x, f"refine.{level + 1}")
    x = ops.relu(layers.convolution(x, "finest.0", "finest.1"))
    return ops.depth_to_space(layers.convolution(x, "out"), "depth_first", 2)


def _lite_encoder(layers: _Layers, x: Node) -> list[Node]:
    taken = []
    x = ops.clamp(layers.convolution(x, "encoder.stem.0", "encoder.stem.1", stride=2), 0.0, 6.0)
    for number, (expansion, out, blocks, stride, _) in enumerate(LITE_STAGES):
        for block in range(blocks):
            into = x.get_output_shape(0)[1]
            first = stride if block == 0 else 1
            y, name, place = x, f"encoder.stages.{number}.{block}.layers", 0
            if expansion > 1:
                y = ops.clamp(layers.convolution(y, f"{name}.0.0", f"{name}.0.1"), 0.0, 6.0)
                place = 1
            y = layers.convolution(
                y, f"{name}.{place}.0", f"{name}.{place}.1", stride=first, groups=into * expansion
            )
            y = ops.clamp(y, 0.0, 6.0)
            y = layers.convolution(y, f"{name}.{place + 1}.0", f"{name}.{place + 1}.1")
            x = ops.add(x, y) if first == 1 and into == out else y
        if number in LITE_TAKEN:
            taken.append(x)
    return taken
