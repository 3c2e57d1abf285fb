"""Writes layers.safetensors, which README.md describes."""

import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

torch.set_default_dtype(torch.float64)


class Last(nn.Module):
    """The last step's output of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


class All(Last):
    """Every step's output."""

    def forward(self, x):
        return self.layer(x)[0]


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = norm(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's ResNet with a stem for small images."""

    def __init__(self, channels, widths, blocks, classes, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = norm(widths[0])
        inputs = widths[0]
        self.stages = len(widths)
        for i, width in enumerate(widths):
            stage = []
            for j in range(blocks):
                stage.append(Block(inputs, width, 2 if i > 0 and j == 0 else 1, norm))
                inputs = width
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


CASES = {
    "features": (lambda: nn.BatchNorm1d(3), (5, 3)),
    "sequences": (lambda: nn.BatchNorm1d(3), (4, 3, 5)),
    "images": (lambda: nn.BatchNorm2d(2), (3, 2, 3, 4)),
    "lstm": (lambda: All(nn.LSTM(3, 2, num_layers=2, batch_first=True)), (2, 4, 3)),
    "lstm-last": (lambda: Last(nn.LSTM(3, 2, batch_first=True)), (2, 5, 3)),
    "resnet": (lambda: ResNet(2, [2, 3], 1, 3, nn.BatchNorm2d), (3, 2, 5, 6)),
    "resnet-groups": (lambda: ResNet(2, [2, 4], 2, 3, lambda c: nn.GroupNorm(2, c)), (2, 2, 4, 6)),
}


def values(name, build, shape, random):
    """All arrays of a case."""
    net = build()
    draw = lambda *shape: torch.from_numpy(random.standard_normal(shape))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(draw(*p.shape) * (0.6 if p.ndim > 1 else 0.3) + (1.0 if p.ndim == 1 and name != "lstm" else 0.0))
        for key, b in net.named_buffers():
            if b.is_floating_point():
                b.copy_(draw(*b.shape).abs() + 0.5)
    x = draw(*shape).requires_grad_()
    clean = lambda key: key.removeprefix("layer.")
    out = {f"parameter.{clean(k)}": p.detach().clone() for k, p in net.named_parameters()}
    out |= {f"before.{k}": b.clone() for k, b in net.named_buffers() if b.is_floating_point()}
    out["x"] = x.detach().clone()
    net.eval()
    out["evaluated"] = net(x).detach()
    net.train()
    z = net(x)
    out |= {f"after.{k}": b.clone() for k, b in net.named_buffers() if b.is_floating_point()}
    weights = torch.sin(torch.arange(1.0, z.numel() + 1)).reshape(z.shape)
    names = [clean(k) for k, _ in net.named_parameters()] + ["x"]
    arrays = list(net.parameters()) + [x]
    gradient = torch.autograd.grad((weights * z**2).sum(), arrays, create_graph=True)
    start, slope = 1, 0.0
    for g in gradient:
        v = torch.sin(torch.arange(float(start), start + g.numel())).reshape(g.shape)
        start, slope = start + g.numel(), slope + (g * v).sum()
    hv = torch.autograd.grad(slope, arrays)
    out["trained"] = z.detach()
    out |= {f"gradient.{k}": g.detach() for k, g in zip(names, gradient)}
    out |= {f"hv.{k}": h for k, h in zip(names, hv)}
    return {f"{name}/{k}": t.contiguous() for k, t in out.items()}


random = np.random.default_rng(7)
everything = {}
for name, (build, shape) in CASES.items():
    everything |= values(name, build, shape, random)
save_file(everything, sys.argv[1])
