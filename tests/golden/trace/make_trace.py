#!/usr/bin/env python3
"""Makes the archives of this folder and their expected symbols.

    python make_trace.py OUT [--random COUNT] [--seed N]

Needs torch 2.11 and nvidia-modelopt 0.47. Each net is exported with torch.export; its expected symbols are
what modelopt.torch.trace says of it. --random writes that many generated nets instead of the named ones.
"""

import argparse
import json
import pathlib
import random
import warnings

import torch
import torch.nn.functional as F
from modelopt.torch.trace import Symbol, SymMap  # noqa: F401
from modelopt.torch.trace.analyzer import analyze_symbols
from modelopt.torch.trace.modules.concat import ConcatSymbol
from modelopt.torch.trace.modules.nn import SymDepth
from torch import nn

warnings.filterwarnings("ignore")


# --- what is expected of a net ---


def leader(symbol):
    """The symbol that this one follows in the end, through the hidden parts of concatenations."""
    while True:
        if symbol.parent is not None:
            symbol = symbol.parent
        elif isinstance(symbol, ConcatSymbol.Input) and not symbol.is_constant:
            symbol = symbol.concat_sym
        else:
            return symbol


def expected(model):
    symbols = analyze_symbols(model)
    named = list(symbols.named_symbols())
    searchable = {name: symbol for name, symbol in named if symbol.is_searchable}
    names = {id(symbol): name for name, symbol in searchable.items()}
    links = {}
    for name, symbol in named:
        top = names.get(id(leader(symbol)))
        if symbol.is_dynamic and top is not None:
            links.setdefault(top, []).append(name)
    return {
        "searchable": sorted(searchable),
        "links": {name: sorted(links[name]) for name in sorted(links)},
        "unsortable": sorted(name for name, symbol in searchable.items() if not symbol.is_sortable),
        "skippable": {
            name: symbol.skippable_idxs
            for name, symbol in searchable.items()
            if isinstance(symbol, SymDepth) and symbol.skippable_idxs
        },
    }


# --- nets ---


def conv(i, o, k=3, **options):
    return nn.Conv2d(i, o, k, padding=k // 2, **options)


class Net(nn.Module):
    """Layers by name, and a forward that is a function of them."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)


class NetOfTwo(Net):
    def forward(self, x, y):
        return self.function(self, x, y)


class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(x + out)


class LinearBlock(nn.Module):
    def __init__(self, size, residual=True):
        super().__init__()
        self.lin, self.norm, self.residual = nn.Linear(size, size), nn.LayerNorm(size), residual

    def forward(self, x):
        out = torch.relu(self.norm(self.lin(x)))
        return x + out if self.residual else out


class OwnLinear(nn.Linear):
    pass


class OwnSequential(nn.Sequential):
    pass


def images(channels=3, size=8):
    return (torch.randn(2, channels, size, size),)


def convs(count, channels=3, out=8):
    return nn.ModuleList([conv(channels, out) for _ in range(count)])


def chain(model, x):
    for layer in model:
        x = layer(x)
    return x


def tower(*blocks, size=4, kind=nn.Sequential, linear=nn.Linear):
    return Net(lambda m, x: m.last(m.model(m.first(x))),
               first=linear(size, size), model=kind(*blocks), last=linear(size, size))


def build():
    """Every net, with its inputs."""
    nets = {}

    def net(name, forward, inputs, **layers):
        nets[name] = ((Net if len(inputs) == 1 else NetOfTwo)(forward, **layers), inputs)

    def sequence(name, inputs, *layers):
        nets[name] = (nn.Sequential(*layers), inputs)

    net("residual_blocks", lambda m, x: m.last(m.branch1(m.conv1(x)) + m.branch2(m.conv1(x))), images(),
        conv1=conv(3, 8), branch1=nn.Sequential(BasicBlock(8), BasicBlock(8)), branch2=conv(8, 8), last=conv(8, 4))
    net("conv_to_output", lambda m, x: torch.relu(m.conv(x)), images(), conv=conv(3, 8))
    net("add_raw_input", lambda m, x: m.last(m.a(x) + x) + m.b(x), images(), a=conv(3, 3), b=conv(3, 4), last=conv(3, 4))
    net("add_chain", lambda m, x: m.c[4](torch.add(m.c[0](x), m.c[1](x)).add(m.c[2](x)) + m.c[3](x)), images(),
        c=nn.ModuleList([*convs(4), conv(8, 4)]))

    def in_place(m, x):
        y = m.c[0](x)
        y += m.c[1](x)
        y.mul_(m.c[2](x))
        return m.c[4](y.sub_(m.c[3](x)))

    net("in_place", in_place, images(), c=nn.ModuleList([*convs(4), conv(8, 4)]))
    net("sum", lambda m, x: m.c[4](torch.sum(m.c[0](x), 1, keepdim=True) + m.c[1](x) + m.c[2](x) + m.c[3](x)), images(),
        c=nn.ModuleList([*convs(4), conv(8, 4)]))
    net("shared_conv_bn", lambda m, x: m.last(m.bn(m.c(m.bn(m.c(m.first(x)))) + m.side(x))), images(),
        first=conv(3, 8), c=conv(8, 8), bn=nn.BatchNorm2d(8), side=conv(3, 8), last=conv(8, 4))
    net("two_inputs", lambda m, x, y: m.conv3(m.conv2(y)) + m.conv1(x), (*images(), *images()),
        conv1=conv(3, 8), conv2=conv(3, 8), conv3=conv(8, 8))
    net("unvisited", lambda m, x: chain(m.convs1, x), images(),
        convs1=nn.Sequential(conv(3, 8), conv(8, 4)), convs2=nn.Sequential(conv(3, 8), conv(8, 4)))
    sequence("conv_transpose", images(), nn.ConvTranspose2d(3, 8, 3), nn.ConvTranspose2d(8, 8, 3), conv(8, 4))
    sequence("group_norm", images(), conv(3, 8), nn.ReLU(), conv(8, 8), nn.GroupNorm(2, 8), conv(8, 4))
    sequence("batch_norm_1d", (torch.randn(4, 8),), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.Linear(8, 8))
    net("transpose", lambda m, x: m.d(m.c(m.b(m.a(x)).transpose(1, 2))), (torch.randn(2, 8, 8),),
        a=nn.Linear(8, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 8), d=nn.Linear(8, 8))
    sequence("layer_norm", (torch.randn(2, 8),), nn.Linear(8, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 4))
    sequence("pool", images(), conv(3, 8), nn.AvgPool2d(2), nn.MaxPool2d(2), conv(8, 4))
    sequence("pads_and_upsampling", images(), conv(3, 8), nn.Upsample(scale_factor=2), conv(8, 8), nn.ZeroPad2d(1), conv(8, 4))
    nets["tower"] = (tower(*[LinearBlock(4) for _ in range(3)]), (torch.randn(2, 4),))
    nets["tower_with_plain_blocks"] = (
        tower(*[LinearBlock(4, i % 2 == 0) for i in range(5)]), (torch.randn(2, 4),))
    nets["inherited_types"] = (
        tower(*[LinearBlock(4) for _ in range(2)], kind=OwnSequential, linear=OwnLinear), (torch.randn(2, 4),))
    block = LinearBlock(4)
    nets["shared_block"] = (tower(block, block, block), (torch.randn(2, 4),))
    for name, groups, out in [("group_conv", 4, 8), ("depthwise_conv", 8, 8), ("widening_group_conv", 4, 16)]:
        sequence(name, images(), conv(3, 8), conv(8, out, groups=groups), conv(out, 4))
    net("cat_batches", lambda m, x: m.c(torch.cat([m.a(x), m.b(x)])), images(), a=conv(3, 8), b=conv(3, 8), c=conv(8, 4))
    net("cat_and_conv", lambda m, x: m.conv4(torch.cat([m.bn1(m.conv1(x)), m.conv2(x)], 1) + m.conv3(x)), images(),
        conv1=conv(3, 8), bn1=nn.BatchNorm2d(8), conv2=conv(3, 4), conv3=conv(3, 12), conv4=conv(12, 4))
    net("cat_plus_cat", lambda m, x: m.e(torch.cat([m.a(x), m.b(x)], 1) + torch.cat([m.c(x), m.d(x)], 1)), images(),
        a=conv(3, 4), b=conv(3, 4), c=conv(3, 4), d=conv(3, 4), e=conv(8, 4))

    def two_cats(m, x):
        a, b, c = m.a(x), m.b(x), m.c(x)
        return m.d(torch.cat([a, b], 1)) + m.e(torch.cat([a, c], 1))

    net("tensor_in_two_cats", two_cats, images(),
        a=conv(3, 4), b=conv(3, 4), c=conv(3, 4), d=conv(8, 4), e=conv(8, 4))

    def same_cats(m, x):
        a, b, c = m.a(x), m.b(x), m.c(x)
        return m.e(torch.cat([a, b, c], 1)) + m.d(torch.cat([a, b, c], dim=1))

    net("same_cats", same_cats, images(), a=conv(3, 4), b=conv(3, 4), c=conv(3, 4), d=conv(12, 4), e=conv(12, 4))
    net("mean_and_cat", lambda m, x: m.d(torch.cat([m.a(x).mean((2, 3), keepdim=True), m.b(x).mean([2, 3], True)], 1)),
        images(), a=conv(3, 4), b=conv(3, 4), d=conv(8, 4))
    net("mean_over_channels", lambda m, x: m.b(m.a(x).mean(1, keepdim=True) + m.c(x)), images(),
        a=conv(3, 4), b=conv(4, 4), c=conv(3, 4))
    net("activations", lambda m, x: m.b(F.softmax(m.n(F.gelu(m.a(x))), -1) * torch.tanh(m.c(x)).neg()),
        (torch.randn(2, 8),), a=nn.Linear(8, 6), n=nn.LayerNorm(6), b=nn.Linear(6, 4), c=nn.Linear(8, 6))
    net("slices", lambda m, x: m.b(m.a(x)[:, :4]), images(), a=conv(3, 8), b=conv(4, 4))
    net("scalars", lambda m, x: m.b(1 - m.a(x) ** 2 / 3).clamp(min=0), images(), a=conv(3, 8), b=conv(8, 4))
    return nets


# --- generated nets ---


class RandomNet(nn.Module):
    """A directed graph of convolutions, norms, sums, concatenations and pointwise operators on maps of one size."""

    def __init__(self, rng):
        super().__init__()
        self.layers = nn.ModuleList()
        self.steps = []
        widths = [4]  # of each value; value 0 is the input
        last_read = {}

        def layer(module):
            self.layers.append(module)
            return len(self.layers) - 1

        def pick(width=None):
            first = 0 if rng.random() < 0.05 else 1  # what is tied to the input is fixed
            candidates = [i for i, w in enumerate(widths) if i >= first and (width is None or w == width)]
            return rng.choice(candidates[-8:])

        def give(kind, width, inputs, **more):
            for value in inputs:
                last_read[value] = len(self.steps)
            self.steps.append((kind, list(inputs), more))
            widths.append(width)

        for _ in range(3):
            width = rng.choice([4, 8])
            give("layer", width, [0], index=layer(conv(4, width)))
        for _ in range(rng.randint(4, 20)):
            kind = rng.choice(["conv", "conv", "conv", "bn", "relu", "add", "add", "mul", "cat", "cat", "reuse", "mean",
                               "group", "pool", "norm", "slice"])
            x = pick()
            if kind == "conv":
                width = rng.choice([4, 8])
                give("layer", width, [x], index=layer(conv(widths[x], width, rng.choice([1, 3]))))
            elif kind == "group":
                if widths[x] % 4 == 0:
                    groups = rng.choice([4, widths[x]])
                    width = widths[x] * rng.choice([1, 1, 2])
                    give("layer", width, [x], index=layer(conv(widths[x], width, groups=groups)))
            elif kind == "bn":
                give("layer", widths[x], [x], index=layer(nn.BatchNorm2d(widths[x])))
            elif kind == "norm":
                if widths[x] % 2 == 0:
                    give("layer", widths[x], [x], index=layer(nn.GroupNorm(2, widths[x])))
            elif kind == "reuse":
                same = [i for i, m in enumerate(self.layers) if getattr(m, "in_channels", 0) == widths[x]]
                if same:
                    index = rng.choice(same)
                    give("layer", self.layers[index].out_channels, [x], index=index)
            elif kind in ("add", "mul"):
                give(kind, widths[x], [x, pick(widths[x])])
            elif kind == "cat":
                values = [pick() for _ in range(rng.randint(2, 3))]
                give("cat", sum(widths[v] for v in values), values, dim=1)
            elif kind == "mean":
                dim = (1,) if rng.random() < 0.1 else rng.choice([(2, 3), (-1,), (-2, -1)])
                give("mean", 1 if dim == (1,) else widths[x], [x], dim=dim)
            elif kind == "pool":
                give("pool", widths[x], [x])
            elif kind == "slice" and rng.random() < 0.2 and widths[x] > 4:
                give("slice", 4, [x])
            else:
                give("relu", widths[x], [x])
        unread = [i for i in range(1, len(widths)) if i not in last_read]
        for i in unread:
            if rng.random() < 0.9:
                give("layer", 4, [i], index=layer(conv(widths[i], 4)))
        self.unread = [i for i in range(1, len(widths)) if i not in last_read]

    def forward(self, x):
        values = [x]
        for kind, inputs, more in self.steps:
            v = [values[i] for i in inputs]
            if kind == "layer":
                values.append(self.layers[more["index"]](v[0]))
            elif kind == "add":
                values.append(v[0] + v[1])
            elif kind == "mul":
                values.append(torch.mul(v[0], v[1]))
            elif kind == "cat":
                values.append(torch.cat(v, dim=more["dim"]))
            elif kind == "mean":
                values.append(v[0].mean(dim=more["dim"], keepdim=True))
            elif kind == "pool":
                values.append(F.max_pool2d(v[0], 3, 1, 1))
            elif kind == "slice":
                values.append(v[0][:, :4])
            else:
                values.append(torch.relu(v[0]))
        return [values[i] for i in self.unread]


def random_nets(count, seed):
    made = 0
    while made < count:
        seed += 1
        torch.manual_seed(seed)
        model = RandomNet(random.Random(seed)).eval()
        x = torch.randn(2, 4, 8, 8)
        try:
            model(x)
        except RuntimeError:
            continue  # sizes that do not fit
        made += 1
        yield f"random{seed}", model, (x,)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    if arguments.random:
        nets = random_nets(arguments.random, arguments.seed)
    else:
        nets = ((name, model.eval(), inputs) for name, (model, inputs) in build().items())
    table = {}
    for name, model, inputs in nets:
        try:
            table[name] = expected(model)
        except (AssertionError, RuntimeError, ValueError) as error:
            print(f"{name}: modelopt fails: {type(error).__name__}: {str(error).strip().splitlines()[:1]}")
            continue
        torch.export.save(torch.export.export(model, inputs), arguments.out / f"{name}.pt2")
    (arguments.out / "expected.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
