"""Programs in few bits: what PT2E makes of nets (torch 2.6, which has it), and its operators one by one."""

import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  (registers the operators)
from torch import nn

from . import Case

OPS = torch.ops.quantized_decomposed


class Small(nn.Module):
    """A convolution and its batch norm, which PT2E folds, a sum, and linears."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.point = nn.Conv2d(4, 4, 1)
        self.hidden = nn.Linear(16, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        x = (x + self.point(x)).mean(1).flatten(1)
        return self.head(torch.relu(self.hidden(x)))


def image():
    return (torch.randn(2, 2, 4, 4),)


def randomize(net):
    for name, tensor in net.state_dict().items():
        if name.endswith("running_var") or name == "norm.weight":
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.uniform_(-0.3, 0.3)


def pt2e(dynamic):
    """The net as PT2E with XNNPACK's quantizer leaves it."""
    from torch.ao.quantization.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torch.ao.quantization.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    net = Small().eval()
    with torch.no_grad():
        randomize(net)
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    captured = torch.export.export_for_training(net, image()).module()
    prepared = prepare_pt2e(captured, XNNPACKQuantizer().set_global(config))
    for _ in range(4):
        prepared(*image())
    converted = convert_pt2e(prepared)
    return torch.ao.quantization.allow_exported_model_train_eval(converted)


class PerTensor(nn.Module):
    def forward(self, x):
        static = OPS.quantize_per_tensor(x, 0.03, 5, 0, 255, torch.uint8)
        wide = OPS.quantize_per_tensor(x.half(), 0.001, -7, -32768, 32767, torch.int16)
        scale, zero_point = OPS.choose_qparams.tensor(x, -128, 127, 1e-6, torch.int8)
        dynamic = OPS.quantize_per_tensor.tensor(x, scale, zero_point, -128, 127, torch.int8)
        even, middle = OPS.choose_qparams_symmetric.tensor(x, 0, 255, 1e-6, torch.uint8)
        symmetric = OPS.quantize_per_tensor.tensor(x, even, middle, 0, 255, torch.uint8)
        low, high = torch.tensor(-100), torch.tensor(90)
        narrow = OPS.quantize_per_tensor.tensor2(x, scale, zero_point, low, high, torch.int8)
        return {
            "static": OPS.dequantize_per_tensor(static, 0.03, 5, 0, 255, torch.uint8),
            "wide": OPS.dequantize_per_tensor(wide, 0.001, -7, -32768, 32767, torch.int16, out_dtype=torch.float16),
            "codes": dynamic,
            "dynamic": OPS.dequantize_per_tensor.tensor(dynamic, scale, zero_point, -128, 127, torch.int8,
                                                        out_dtype=torch.bfloat16),
            "symmetric": OPS.dequantize_per_tensor.tensor(symmetric, even, middle, 0, 255, torch.uint8),
            "narrow": OPS.dequantize_per_tensor.tensor2(narrow, scale, zero_point, low, high, torch.int8),
        }


class Float8(nn.Module):
    def forward(self, x):
        codes = OPS.quantize_per_tensor(x, 0.01, 0, -448, 448, torch.float8_e4m3fn)
        coarse = OPS.quantize_per_tensor(x.bfloat16(), 0.001, 0, -57344, 57344, torch.float8_e5m2)
        return (OPS.dequantize_per_tensor(codes, 0.01, 0, -448, 448, torch.float8_e4m3fn),
                OPS.dequantize_per_tensor(coarse, 0.001, 0, -57344, 57344, torch.float8_e5m2,
                                          out_dtype=torch.bfloat16))


class PerChannel(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scales", torch.rand(3) * 0.05 + 0.01)
        self.register_buffer("zeros", torch.tensor([3, -4, 0]))
        self.register_buffer("group_scales", torch.rand(4, 2) * 0.05 + 0.2)
        self.register_buffer("group_zeros", torch.randint(-2, 3, (4, 2)))

    def forward(self, x):
        codes = OPS.quantize_per_channel(x, self.scales, self.zeros, 1, -128, 127, torch.int8)
        rows = x.flatten(1)[:, :12]
        groups = OPS.quantize_per_channel_group(rows, self.group_scales, self.group_zeros, -8, 7, torch.int8, 6)
        return (OPS.dequantize_per_channel(codes, self.scales, self.zeros, 1, -128, 127, torch.int8),
                OPS.dequantize_per_channel(codes, self.scales, None, 1, -128, 127, torch.int8,
                                           out_dtype=torch.float16),
                OPS.dequantize_per_channel_group(groups, self.group_scales, self.group_zeros, -8, 7, torch.int8, 6,
                                                 torch.float32),
                OPS.dequantize_per_channel_group(groups, self.group_scales, None, -8, 7, torch.int8, 6,
                                                 torch.bfloat16),
                OPS.fake_quant_per_channel(x, self.scales, self.zeros, 1, -100, 100))


class PerToken(nn.Module):
    def forward(self, x):
        scales, zeros = OPS.choose_qparams_per_token(x, torch.int8)
        codes = OPS.quantize_per_token(x, scales, zeros, -128, 127, torch.int8)
        wide_scales, wide_zeros = OPS.choose_qparams_per_token_asymmetric(x, torch.int8)
        wide = OPS.quantize_per_token(x, wide_scales, wide_zeros, -128, 127, torch.int8)
        return (OPS.dequantize_per_token(codes, scales, zeros, -128, 127, torch.int8, torch.float32),
                OPS.dequantize_per_token(wide, wide_scales, wide_zeros, -128, 127, torch.int8, torch.float32),
                OPS.convert_element_type.no_fuse(x, torch.float16))


CASES = {
    "pt2e": Case(lambda: pt2e(dynamic=False), image, only=("2.6",)),
    "pt2e_dynamic": Case(lambda: pt2e(dynamic=True), image, only=("2.6",)),
    "per_tensor": Case(PerTensor, lambda: (torch.randn(3, 5),), others=[lambda: (torch.randn(3, 5) * 0.1,)]),
    "float8": Case(Float8, lambda: (torch.randn(4, 6),), only=("2.11", "2.15")),
    "per_channel": Case(PerChannel, lambda: (torch.randn(4, 3, 5),)),
    "per_token": Case(PerToken, lambda: (torch.randn(2, 3, 6),)),
}
