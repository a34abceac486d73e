"""SynthStrip's network: a 3D U-Net of seven levels that predicts a distance to the brain's surface.

Written anew from its published layout (Hoopes A et al. NeuroImage 2022), with
the names of parameters that the published checkpoint has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

#: Features of each level, finest first: 16, doubled up to 64.
FEATURES = (16, 32, 64, 64, 64, 64, 64)


class _Block(nn.Module):  # type: ignore[misc]
    """A convolution of 3 voxels each way, and a leaky ReLU where one follows."""

    def __init__(self, inputs: int, outputs: int, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.active = active

    def forward(self, x: Any) -> Any:
        """Convolve (1, C, X, Y, Z)."""
        x = self.conv(x)
        return nn.functional.leaky_relu(x, 0.2, inplace=True) if self.active else x


def _pair(inputs: int, outputs: int) -> nn.ModuleList:
    return nn.ModuleList([_Block(inputs, outputs), _Block(outputs, outputs)])


class StripNet(nn.Module):  # type: ignore[misc]
    """The network; all three sizes of its input are multiples of 64."""

    def __init__(self) -> None:
        super().__init__()
        encoder, decoder, width = [], [], 1
        skips = [1]
        for features in FEATURES[:-1]:
            encoder.append(_pair(width, features))
            width = features
            skips.append(width)
        for features, skip in zip(FEATURES[:0:-1], skips[:0:-1], strict=True):
            decoder.append(_pair(width, features))
            width = features + skip
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        first = FEATURES[0]
        self.remaining = nn.ModuleList(
            [_Block(width, first), _Block(first, first), _Block(first, 1, active=False)]
        )

    def forward(self, x: Any) -> Any:
        """Distance to the brain's surface, mm, negative inside, of (1, 1, X, Y, Z)."""
        skips = []
        for level in self.encoder:
            for block in level:
                x = block(x)
            skips.append(x)
            x = nn.functional.max_pool3d(x, 2)
        for level in self.decoder:
            for block in level:
                x = block(x)
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.cat((x, skips.pop()), 1)
        for block in self.remaining:
            x = block(x)
        return x
