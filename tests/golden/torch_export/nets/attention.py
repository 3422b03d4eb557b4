"""Nets with attention: of torch.nn, and written out."""

import torch
from torch import nn
from torch.nn import functional as F

from . import Case


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 5, 8) * 0.02)
        self.blocks = nn.Sequential(*[ViTBlock(8, 2) for _ in range(2)])
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class ViTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, width))

    def forward(self, x):
        y = self.ln1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class SelfAttention(nn.Module):
    """Projections, heads, scaled dot product: as timm and Hugging Face write it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, mask=None):
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(y.transpose(1, 2).reshape(b, t, c))


class WindowAttention(nn.Module):
    def __init__(self, width, window, heads):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        grid = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        offset = (grid[:, :, None] - grid[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", offset[..., 0] * (2 * window - 1) + offset[..., 1], persistent=False)

    def forward(self, x, mask=None):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            windows = mask.shape[0]
            scores = scores.view(b // windows, windows, self.heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, self.heads, n, n)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


class SwinBlock(nn.Module):
    def __init__(self, width, size, window, shift):
        super().__init__()
        self.window, self.shift, self.size = window, shift, size
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, window, 2)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        mask = None
        if shift:
            regions = torch.zeros(1, size, size, 1)
            spans = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            for i, rows in enumerate(spans):
                for j, columns in enumerate(spans):
                    regions[:, rows, columns] = 3 * i + j
            windows = self.split(regions).squeeze(-1)
            mask = (windows.unsqueeze(1) != windows.unsqueeze(2)).float() * -100
        self.register_buffer("mask", mask)

    def split(self, x):
        b, h, w, c = x.shape
        x = x.view(b, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.window * self.window, c)

    def forward(self, x):
        b, h, w, c = x.shape
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = self.attention(self.split(y), self.mask)
        y = y.view(b, h // self.window, w // self.window, self.window, self.window, c)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x):
        parts = [x[:, i::2, j::2] for j in range(2) for i in range(2)]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 2, 2)
        self.stage1 = nn.Sequential(SwinBlock(4, 8, 4, 0), SwinBlock(4, 8, 4, 2), PatchMerging(4))
        self.stage2 = nn.Sequential(SwinBlock(8, 4, 4, 0))

    def forward(self, x):
        return self.stage2(self.stage1(self.embed(x).permute(0, 2, 3, 1))).mean((1, 2))


class Detr(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.transformer = nn.Transformer(8, 2, 1, 2, 16, batch_first=False)
        self.queries = nn.Embedding(3, 8)
        self.row, self.column = nn.Parameter(torch.rand(4, 4)), nn.Parameter(torch.rand(4, 4))
        self.classes, self.boxes = nn.Linear(8, 5), nn.Linear(8, 4)

    def forward(self, x):
        h = self.backbone(x)
        height, width = h.shape[-2:]
        position = torch.cat([self.column[:width].unsqueeze(0).repeat(height, 1, 1),
                              self.row[:height].unsqueeze(1).repeat(1, width, 1)], -1).flatten(0, 1).unsqueeze(1)
        queries = self.queries.weight.unsqueeze(1).repeat(1, x.shape[0], 1)
        h = self.transformer(position + 0.1 * h.flatten(2).permute(2, 0, 1), queries).transpose(0, 1)
        return {"logits": self.classes(h), "boxes": self.boxes(h).sigmoid()}


class MaskedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, bias=False)
        self.cross = nn.MultiheadAttention(8, 4, kdim=6, vdim=5, add_bias_kv=True)

    def forward(self, x, memory, values, padding):
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[0])
        y, weights = self.attention(x, x, x, attn_mask=causal, is_causal=True)
        z, cross = self.cross(y, memory, values, key_padding_mask=padding, average_attn_weights=False)
        return z, (weights, cross)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)

    def forward(self, x, padding):
        return self.encoder(x, src_key_padding_mask=padding)


class GPT(nn.Module):
    """Tied embeddings, dynamic batch and length, causal attention."""

    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(20, 8), nn.Embedding(32, 8)
        self.blocks = nn.ModuleList([nn.ModuleDict({
            "ln1": nn.LayerNorm(8), "attention": SelfAttention(8, 2), "ln2": nn.RMSNorm(8),
            "mlp": nn.Sequential(nn.Linear(8, 16), nn.GELU("tanh"), nn.Linear(16, 8))}) for _ in range(2)])
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        length = ids.shape[1]
        x = self.wte(ids) + self.wpe(torch.arange(length))
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        for block in self.blocks:
            x = x + block["attention"](block["ln1"](x), mask)
            x = x + block["mlp"](block["ln2"](x))
        return self.head(x)


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.SiLU(), nn.Dropout(0.1), nn.Linear(16, 8))

    def forward(self, x):
        return 0.5 * self.net(x)


class ConvolutionModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.pointwise1, self.glu = nn.Conv1d(8, 16, 1), nn.GLU(dim=1)
        self.depthwise = nn.Conv1d(8, 8, 5, padding=2, groups=8)
        self.batch_norm, self.act = nn.BatchNorm1d(8), nn.SiLU()
        self.pointwise2 = nn.Conv1d(8, 8, 1)

    def forward(self, x):
        x = self.glu(self.pointwise1(self.norm(x).transpose(1, 2)))
        return self.pointwise2(self.act(self.batch_norm(self.depthwise(x)))).transpose(1, 2)


class Conformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.subsample = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, 2, 1), nn.ReLU())
        self.linear = nn.Linear(4, 8)
        self.blocks = nn.ModuleList([nn.ModuleList([FeedForward(), SelfAttention(8, 2), ConvolutionModule(),
                                                    FeedForward(), nn.LayerNorm(8)]) for _ in range(2)])

    def forward(self, x):
        x = self.subsample(x.unsqueeze(1))
        x = self.linear(x.transpose(1, 2).flatten(2))
        for first, attention, conv, second, norm in self.blocks:
            x = x + first(x)
            x = x + attention(x)
            x = x + conv(x)
            x = norm(x + second(x))
        return x


class MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(8, 4, bias=False)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(8, 12), nn.SiLU(), nn.Linear(12, 8)) for _ in range(4)])

    def forward(self, x):
        scores = F.softmax(self.router(x), -1)
        top, chosen = torch.topk(scores, 2, -1)
        weights = torch.zeros_like(scores).scatter_(-1, chosen, top / top.sum(-1, keepdim=True))
        return sum(weights[..., i, None] * expert(x) for i, expert in enumerate(self.experts)), chosen


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))
        self.channels = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

    def forward(self, x):
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return torch.einsum("btc,c->btc", x + self.channels(x), torch.tensor([1.0, 2.0, 0.5, -1.0]))


def ids(batch, length, vocabulary=20):
    return lambda: (torch.randint(0, vocabulary, (batch, length)),)


CASES = {
    "vit": Case(ViT, lambda: (torch.randn(2, 3, 8, 8),)),
    "vit_decomposed": Case(ViT, lambda: (torch.randn(2, 3, 8, 8),), decompose=True),
    "vit_dynamic": Case(ViT, lambda: (torch.randn(2, 3, 8, 8),), dynamic={"x": {0: torch.export.Dim("batch", min=2)}},
                        others=[lambda: (torch.randn(7, 3, 8, 8),)]),
    "swin": Case(Swin, lambda: (torch.randn(2, 3, 16, 16),)),
    "detr": Case(Detr, lambda: (torch.randn(2, 3, 8, 8),)),
    "masked_attention": Case(MaskedAttention, lambda: (torch.randn(4, 2, 8), torch.randn(5, 2, 6),
                                                       torch.randn(5, 2, 5), torch.rand(2, 5) > 0.8)),
    "encoder": Case(Encoder, lambda: (torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2]))),
    "gpt_dynamic": Case(GPT, ids(2, 6), dynamic={"ids": {0: torch.export.Dim("batch", min=1, max=99),
                                                         1: torch.export.Dim("length", min=2, max=32)}},
                        others=[ids(5, 11), ids(1, 32)]),
    "conformer": Case(Conformer, lambda: (torch.randn(2, 12, 8),)),
    "moe": Case(MoE, lambda: (torch.randn(2, 3, 8),)),
    "mixer": Case(Mixer, lambda: (torch.randn(2, 6, 4),)),
}
