"""One net for each thing that a program of torch.export can hold."""

import collections
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from . import Case

Point = collections.namedtuple("Point", ["left", "right"])
pytree._register_namedtuple(Point, serialized_type_name="nets.features.Point")


class Structures(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, pair, options, *, scale, shift=None):
        a, (b, c) = pair
        x = self.fc(a) * options["weight"] + b * scale
        y = c - options["extra"][0]
        if shift is not None:
            y = y + shift
        return {"sum": x + y, "parts": (x, [y, None]), "size": x.shape[0], "flag": True}


class Fields(nn.Module):
    def forward(self, point):
        return Point(point.left + 1, right=point.right @ point.left)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(3, 4), persistent=False)
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        self.count += 1
        self.cache[1:2] = self.fc(x).mean(0, keepdim=True)
        self.cache.mul_(2)
        return x + self.cache[1] * self.count


class TrainedNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.conv(x))


class Shared(nn.Module):
    """One Linear called at two places, one block for two shapes, and a name for it that nobody calls by."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.other_name = self.fc
        self.block = Halver()
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        y = self.fc(self.norm(self.fc(x)))
        long, short = self.block(y), self.block(y[:, :1])
        return self.norm(long + short) + self.other_name(x)


class Halver(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) / 2 if x.shape[1] > 1 else self.fc(x + 1)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Linear(3, 3)
        self.idle = nn.ModuleList([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)])
        self.loose = nn.Parameter(torch.randn(5))
        self.same = self.used

    def forward(self, x):
        return self.used(x)


class InPlace(nn.Module):
    """What is changed in place is read again: by the input's, the module's and a view's name."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        x.add_(1)
        y = self.conv(x)
        view = y[:, :1]
        z = self.relu(y)
        total = view + z + x
        total[:, 0] = 7
        total.view(-1)[3:5].mul_(self.fc.weight[0, 0])
        return total, self.fc(F.relu_(self.fc(z)))


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.tensor([1.0, 2.0, 3.0])
        self.fc = nn.Linear(3, 3)

    def forward(self, x, times: int, mode: str = "add"):
        table = torch.tensor([[1, 2, 3], [4, 5, 6]])
        y = self.fc(x) * self.scale + table[times % 2]
        return y + math.pi if mode == "add" else y * times


class Number(nn.Module):
    """A symbolic integer as input and output, and what is computed from sizes."""

    def forward(self, x, n):
        length = x.shape[1]
        half = (length + 1) // 2
        padded = F.pad(x, (0, n * 2))
        y = padded[:, :half].repeat(1, n) / (length ** 0.5)
        return y, padded.mean(1) * torch.sym_max(length, n), half + n, length / n


class Lengths(nn.Module):
    """Dynamic length through convolutions, views, flips and interpolation."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, stride=2, padding=1)
        self.gru = nn.GRU(4, 3, batch_first=True)

    def forward(self, x):
        y = self.conv(x)
        b, c, t = y.shape
        y = y.view(b, c // 2, 2, t).flip(1).reshape(b, c, t)
        out, _ = self.gru(y.transpose(1, 2))
        position = torch.arange(t, dtype=out.dtype).unsqueeze(-1) / t
        return F.interpolate((out + position).transpose(1, 2), scale_factor=2.0), torch.full((b, t), 2.5)


class Nonzero(nn.Module):
    """Sizes that depend on values."""

    def forward(self, x, count):
        n = count.item()
        torch._check(n >= 1)
        torch._check(n <= 4)
        picked = x[x > 0]
        return picked * 2, torch.arange(n) + 1, x.new_zeros(n, 2)


class NoGrad(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.frequencies = Frequencies()

    def forward(self, x):
        cos, sin = self.frequencies(x)
        with torch.no_grad():
            y = self.fc(x).exp()
        return self.fc(y) * cos + sin


class Frequencies(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("inverse", torch.rand(3), persistent=False)

    @torch.no_grad()
    def forward(self, x):
        with torch.autocast(device_type="cpu", enabled=False):
            angle = x.float() * self.inverse
        return angle.cos(), angle.sin()


class Branch(nn.Module):
    """torch.cond: an operator on graphs."""

    def __init__(self):
        super().__init__()
        self.before, self.inner, self.after = nn.Linear(3, 3), BranchInner(), nn.Linear(3, 3)

    def forward(self, x):
        return self.after(self.inner(self.before(x)))


class BranchInner(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


class Custom(nn.Module):
    """An operator that no other program has."""

    def __init__(self):
        super().__init__()
        self.before, self.inner, self.after = nn.Linear(3, 3), CustomInner(), nn.Linear(3, 3)

    def forward(self, x):
        return self.after(self.inner(self.before(x)))


class CustomInner(nn.Module):
    def __init__(self):
        super().__init__()
        self.child = nn.Linear(3, 3)

    def forward(self, x):
        return torch.ops.golden.twist(self.child(x))


def define_twist():
    if not hasattr(torch.ops.golden, "twist"):
        library = torch.library.Library("golden", "DEF")
        library.define("twist(Tensor x) -> Tensor")
        library.impl("twist", lambda x: x.flip(-1), "CompositeExplicitAutograd")
        define_twist.library = library
    return Custom()


class Subclassed(nn.Module):
    """Classes derived from torch.nn's, and one that has the name of one."""

    def __init__(self):
        super().__init__()
        self.fc, self.stack, self.norm = NamedLinear(3, 3), Stack(nn.Linear(3, 3), nn.ReLU()), LayerNorm()

    def forward(self, x):
        return self.norm(self.stack(self.fc(x)))


class NamedLinear(nn.Linear):
    pass


class Stack(nn.Sequential):
    pass


class LayerNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3))

    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-3).sqrt() * self.weight


class Dtypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4, dtype=torch.bfloat16)
        self.halves = nn.Parameter(torch.rand(4).half())
        self.register_buffer("steps", torch.arange(4, dtype=torch.int32))
        self.register_buffer("mask", torch.tensor([True, False, True, True]))
        self.transposed = nn.Parameter(torch.randn(4, 6).t()[1:5])
        self.register_buffer("nothing", torch.zeros(0, 4))

    def forward(self, x):
        y = self.fc(x.bfloat16()).float() * self.halves.float() + self.steps.to(torch.float64)
        return torch.where(self.mask, y, torch.cat([self.nothing, y])) @ self.transposed.double()


class Hooked(nn.Module):
    """Values that leave a module in the middle of its forward."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))

    def forward(self, x):
        kept = []
        handle = self.body[0].register_forward_hook(lambda module, args, output: kept.append(output))
        y = self.body(x)
        handle.remove()
        return y + kept[0]


CASES = {
    "structures": Case(
        Structures, lambda: ((torch.randn(2, 4), [torch.randn(2, 4), torch.randn(2, 4)]),
                             {"weight": torch.randn(4), "extra": [torch.randn(4)]}),
        kwargs=lambda: {"scale": torch.randn(1), "shift": torch.randn(4)}, only=("2.11", "2.15")),
    "named_tuple": Case(Fields, lambda: (Point(torch.randn(3, 2), torch.randn(2, 3)),), only=("2.11", "2.15")),
    "counter": Case(Counter, lambda: (torch.randn(2, 4),)),
    "counter_decomposed": Case(Counter, lambda: (torch.randn(2, 4),), decompose=True),
    "trained_norm": Case(TrainedNorm, lambda: (torch.randn(2, 2, 6),), train=True),
    "shared": Case(Shared, lambda: (torch.randn(2, 3, 4),)),
    "unused": Case(Unused, lambda: (torch.randn(2, 3),)),
    "in_place": Case(InPlace, lambda: (torch.randn(2, 2, 4),)),
    "constants": Case(Constants, lambda: (torch.randn(2, 3), 3, "add")),
    "number": Case(Number, lambda: (torch.randn(2, 8), 3),
                   dynamic={"x": {1: torch.export.Dim("length", min=6, max=40)}, "n": torch.export.Dim.DYNAMIC},
                   others=[lambda: (torch.randn(2, 13), 5)], only=("2.11", "2.15")),
    "lengths": Case(Lengths, lambda: (torch.randn(2, 3, 9),),
                    dynamic={"x": {0: torch.export.Dim("batch", min=1, max=8), 2: torch.export.Dim.AUTO}},
                    others=[lambda: (torch.randn(3, 3, 20),)], only=("2.11", "2.15")),
    "nonzero": Case(Nonzero, lambda: (torch.randn(3, 4), torch.tensor(3)), others=[
        lambda: (torch.randn(3, 4), torch.tensor(2))]),
    "no_grad": Case(NoGrad, lambda: (torch.randn(2, 3),)),
    "cond": Case(Branch, lambda: (torch.randn(2, 3),)),
    "custom": Case(define_twist, lambda: (torch.randn(2, 3),)),
    "subclassed": Case(Subclassed, lambda: (torch.randn(2, 3),)),
    "dtypes": Case(Dtypes, lambda: (torch.randn(2, 4),)),
    "hooked": Case(Hooked, lambda: (torch.randn(2, 3),)),
}
