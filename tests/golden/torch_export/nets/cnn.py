"""Convolutional nets after those of torchvision, with few channels."""

import torch
from torch import nn
from torch.nn import functional as F

from . import Case


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(4, 4), BasicBlock(4, 4))
        self.layer2 = nn.Sequential(BasicBlock(4, 8, 2), BasicBlock(8, 8))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Bottleneck(nn.Module):
    def __init__(self, channels, width, groups):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding="same", groups=groups), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return F.relu(self.body(x) + x)


class ResNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.blocks = nn.ModuleList([Bottleneck(8, 8, 4), Bottleneck(8, 8, 2)])
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, 4, 1)
        self.fc2 = nn.Conv2d(4, channels, 1)
        self.act = nn.ReLU()
        self.gate = nn.Hardsigmoid()

    def forward(self, x):
        return x * self.gate(self.fc2(self.act(self.fc1(self.pool(x)))))


class InvertedResidual(nn.Module):
    def __init__(self, channels, hidden, act):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), act())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), act())
        self.se = SqueezeExcite(hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.project(self.se(self.depthwise(self.expand(x))))


class MobileNet(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), act())
        self.blocks = nn.Sequential(InvertedResidual(6, 12, act), InvertedResidual(6, 12, act))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(6, 4))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


class Inception(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.branch1 = nn.Conv2d(inputs, 4, 1)
        self.branch2 = nn.Sequential(nn.Conv2d(inputs, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, (1, 3), padding=(0, 1)),
                                     nn.Conv2d(4, 4, (3, 1), padding=(1, 0)))
        self.branch3 = nn.Sequential(nn.Conv2d(inputs, 2, 1), nn.Conv2d(2, 3, 5, padding=2))
        self.pool = nn.Conv2d(inputs, 2, 1)

    def forward(self, x):
        pooled = self.pool(F.max_pool2d(x, 3, 1, 1))
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), pooled], 1)


class InceptionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3)
        self.mixed1 = Inception(5)
        self.mixed2 = Inception(13)
        self.aux = nn.Linear(13, 3)
        self.fc = nn.Linear(13, 3)

    def forward(self, x):
        first = self.mixed1(self.stem(x))
        second = self.mixed2(first)
        return self.fc(second.mean([2, 3])), self.aux(F.adaptive_avg_pool2d(first, 1).flatten(1))


class DenseLayer(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, 3, 3, padding=1, bias=False)

    def forward(self, *features):
        return self.conv(self.relu(self.norm(torch.cat(features, 1))))


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleDict({f"denselayer{i}": DenseLayer(4 + 3 * i) for i in range(3)})
        self.transition = nn.Sequential(nn.BatchNorm2d(13), nn.ReLU(), nn.Conv2d(13, 6, 1), nn.AvgPool2d(2))
        self.classifier = nn.Linear(6, 3)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers.values():
            features.append(layer(*features))
        x = self.transition(torch.cat(features, 1))
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class VGG(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2, 2, ceil_mode=True))
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Linear(32, 12), nn.ReLU(True), nn.Dropout(), nn.Linear(12, 5))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Fire(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, 3, 1)
        self.expand1x1 = nn.Conv2d(3, 4, 1)
        self.expand3x3 = nn.Conv2d(3, 4, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.activation(self.squeeze(x))
        return torch.cat([self.activation(self.expand1x1(x)), self.activation(self.expand3x3(x))], 1)


class ShuffleUnit(nn.Module):
    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
                                    nn.Conv2d(half, half, 3, 1, 1, groups=half), nn.BatchNorm2d(half))

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, self.branch(b)), dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class ChannelsFirstNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.pwconv1 = nn.Linear(channels, 2 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(2 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = self.double(2, 4)
        self.down2 = self.double(4, 6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.merge = self.double(8, 4)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.out = nn.Conv2d(4, 2, 1)

    @staticmethod
    def double(inputs, outputs):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1),
                             nn.Conv2d(outputs, outputs, 3, padding=1), nn.InstanceNorm2d(outputs, affine=True),
                             nn.SiLU(inplace=True))

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        merged = self.merge(torch.cat([first, self.up(second)], 1))
        return F.interpolate(self.out(self.upsample(merged)), size=(8, 8), mode="nearest")


class UNet3d(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ELU(), nn.MaxPool3d(2))
        self.dec = nn.ConvTranspose3d(4, 2, 2, stride=2)
        self.norm = nn.BatchNorm3d(2)

    def forward(self, x):
        return torch.sigmoid(self.norm(self.dec(self.enc(x))))


class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Conv1d(1, 4, 1)
        self.dilated = nn.ModuleList([nn.Conv1d(4, 8, 2, dilation=2 ** i) for i in range(3)])
        self.skips = nn.ModuleList([nn.Conv1d(4, 4, 1) for _ in range(3)])
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        x = self.start(x)
        total = 0
        for i, (dilated, skip) in enumerate(zip(self.dilated, self.skips)):
            gate, value = dilated(F.pad(x, (2 ** i, 0))).chunk(2, 1)
            y = torch.tanh(value) * torch.sigmoid(gate)
            total = total + skip(y)
            x = x + y
        return self.norm(total)


class Activations(nn.Module):
    def __init__(self):
        super().__init__()
        self.acts = nn.Sequential(
            nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU(4), nn.ELU(0.5),
            nn.SELU(), nn.CELU(1.5), nn.Hardtanh(-0.5, 2), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardshrink(0.1),
            nn.Softshrink(0.1), nn.Threshold(0.1, 0.2), nn.Softplus(2, 10), nn.LogSigmoid(), nn.Mish(), nn.Tanh(),
            nn.Softsign(), nn.Tanhshrink(), nn.Sigmoid(), nn.GELU(approximate="tanh"), nn.Softmax(-1), nn.LogSoftmax(1),
            nn.GLU(1), nn.Identity(), nn.Dropout1d(), nn.AlphaDropout(), nn.Unflatten(1, (1, 2)), nn.Flatten(1, 2))

    def forward(self, x):
        return self.acts(x)


class Pools(nn.Module):
    def __init__(self):
        super().__init__()
        self.max1, self.avg1 = nn.MaxPool1d(2), nn.AvgPool1d(3, 1, 1)
        self.lp, self.adaptive1 = nn.LPPool1d(2, 2), nn.AdaptiveMaxPool1d(2)
        self.avg2, self.max2 = nn.AvgPool2d(2, count_include_pad=False), nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.pad = nn.ReflectionPad2d(1)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = nn.LocalResponseNorm(2)

    def forward(self, x, y):
        x = self.adaptive1(self.lp(self.avg1(self.max1(x))))
        y = self.norm(self.shuffle(self.pad(y)))
        pooled, indices = self.max2(y)
        return {"x": x, "y": [self.avg2(self.unpool(pooled, indices)), indices]}


def image(size=16, batch=2, channels=3):
    return lambda: (torch.randn(batch, channels, size, size),)


CASES = {
    "resnet": Case(ResNet, image(32)),
    "resnet_decomposed": Case(ResNet, image(32), decompose=True),
    "resnet_dynamic": Case(ResNet, image(32), dynamic={"x": {0: torch.export.Dim("batch", min=1, max=64)}},
                           others=[image(32, 5), image(32, 1)]),
    "resnext": Case(ResNeXt, image()),
    "mobilenet": Case(lambda: MobileNet(nn.Hardswish), image()),
    "efficientnet": Case(lambda: MobileNet(nn.SiLU), image()),
    "inception": Case(InceptionNet, image()),
    "densenet": Case(DenseNet, image(8)),
    "vgg": Case(VGG, image(14)),
    "vgg_strict": Case(VGG, image(14), strict=True),
    "squeezenet": Case(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Fire(4), nn.MaxPool2d(2), Fire(8)), image()),
    "shufflenet": Case(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), ShuffleUnit(8), ShuffleUnit(8)), image(8)),
    "convnext": Case(lambda: nn.Sequential(nn.Conv2d(3, 6, 4, 4), ChannelsFirstNorm(6), ConvNeXtBlock(6),
                                           ConvNeXtBlock(6)), image()),
    "unet": Case(UNet, image(8, channels=2)),
    "unet3d": Case(UNet3d, lambda: (torch.randn(1, 1, 4, 6, 8),)),
    "wavenet": Case(WaveNet, lambda: (torch.randn(2, 1, 12),)),
    "activations": Case(Activations, lambda: (torch.randn(2, 4, 6),)),
    "pools": Case(Pools, lambda: (torch.randn(2, 3, 16), torch.randn(1, 8, 6, 6))),
}
