#include <fmt/format.h>
#include <fmt/ranges.h>

#include "quantization/config/attributes.h"

namespace lathe::quantization {

using nlohmann::ordered_json;

namespace {

ordered_json bits_json(const NumBits& bits) {
  if (bits.is_float()) return ordered_json::array({bits.exponent, bits.mantissa});
  return bits.bits;
}

ordered_json blocks_json(const AxisBlocks& blocks) {
  ordered_json json = ordered_json::object();
  for (const auto& [axis, size] : blocks) {
    json[std::to_string(axis)] = size ? ordered_json(*size) : ordered_json();
  }
  return json;
}

ordered_json block_sizes_json(const BlockSizes& blocks) {
  ordered_json json = blocks_json(blocks.sizes);
  json["type"] = blocks.dynamic ? "dynamic" : "static";
  if (blocks.scale_bits) json["scale_bits"] = bits_json(*blocks.scale_bits);
  if (!blocks.scale_block_sizes.empty()) {
    json["scale_block_sizes"] = blocks_json(blocks.scale_block_sizes);
  }
  if (blocks.four_over_six) json["four_over_six"] = true;
  return json;
}

ordered_json rotation_json(const Rotation& rotation) {
  ordered_json json = {{"enable", rotation.enable}};
  if (rotation.rotate_back) json["mode"] = "rotate_back";
  if (rotation.float32) json["rotate_fp32"] = true;
  if (rotation.block_size) json["block_size"] = *rotation.block_size;
  return json;
}

ordered_json bias_json(const Bias& bias) {
  ordered_json json = ordered_json::object();
  for (const int axis : bias.axes) json[std::to_string(axis)] = nullptr;
  json["type"] = bias.dynamic ? "dynamic" : "static";
  json["method"] = bias.method == Bias::Method::kMean ? "mean" : "max_min";
  return json;
}

ordered_json axis_json(const std::vector<int>& axis) {
  return axis.size() == 1 ? ordered_json(axis[0]) : ordered_json(axis);
}

void add_calibration(const QuantizerAttributes& attributes, ordered_json& json) {
  if (attributes.dynamic) json["type"] = "dynamic";
  if (attributes.calibrator == Calibrator::kHistogram) json["calibrator"] = "histogram";
  if (attributes.use_constant_amax) json["use_constant_amax"] = true;
  if (attributes.constant_amax) json["constant_amax"] = *attributes.constant_amax;
  if (!attributes.pass_through_bwd) json["pass_through_bwd"] = false;
  if (attributes.trt_high_precision_dtype != DType::kF32) {
    json["trt_high_precision_dtype"] =
        attributes.trt_high_precision_dtype == DType::kF16 ? "Half" : "BFloat16";
  }
}

/// fp8, int4, mxfp6, nvfp4, ...
std::string number_name(const QuantizerAttributes& attributes) {
  const NumBits& bits = attributes.num_bits;
  constexpr NumBits kNone{.bits = 0};
  const NumBits scale_bits =
      attributes.block_sizes ? attributes.block_sizes->scale_bits.value_or(kNone) : kNone;
  std::string name = attributes.unsigned_ ? "uint" : "int";
  if (bits.is_float()) name = bits == kE2M1 && scale_bits == kE4M3 ? "nvfp" : "fp";
  if (scale_bits == kE8M0) name = "mx" + name;
  name += std::to_string(bits.bits);
  const bool plain = !bits.is_float() || bits == kE4M3 || bits == kE3M2 || bits == kE2M1;
  return plain ? name : fmt::format("{} e{}m{}", name, bits.exponent, bits.mantissa);
}

std::string block_text(const BlockSizes& blocks) {
  std::vector<std::string> sizes;
  for (const auto& [axis, size] : blocks.sizes) {
    sizes.push_back(size ? std::to_string(*size) : "all");
  }
  std::string text = fmt::format("block {}", fmt::join(sizes, "x"));
  if (blocks.dynamic) text += " dynamic";
  if (blocks.four_over_six) text += " four-over-six";
  return text;
}

std::string grouping_text(const QuantizerAttributes& attributes) {
  if (attributes.block_sizes) {
    const bool token = attributes.block_sizes->sizes == AxisBlocks{{-1, std::nullopt}};
    return token ? "per-token" : block_text(*attributes.block_sizes);
  }
  if (attributes.axis.empty()) return "per-tensor";
  if (attributes.axis == std::vector<int>{0}) return "per-channel";
  return fmt::format("axis {}", fmt::join(attributes.axis, ","));
}

}  // namespace

ordered_json to_json(const QuantizerAttributes& attributes) {
  ordered_json json = {{"num_bits", bits_json(attributes.num_bits)}};
  if (attributes.effective_bits) json["effective_bits"] = *attributes.effective_bits;
  if (!attributes.axis.empty()) json["axis"] = axis_json(attributes.axis);
  if (attributes.block_sizes) json["block_sizes"] = block_sizes_json(*attributes.block_sizes);
  if (!attributes.fake_quant) json["fake_quant"] = false;
  if (attributes.unsigned_) json["unsigned"] = true;
  if (attributes.narrow_range) json["narrow_range"] = true;
  if (attributes.bias) json["bias"] = bias_json(*attributes.bias);
  if (attributes.rotate != Rotation{}) json["rotate"] = rotation_json(attributes.rotate);
  add_calibration(attributes, json);
  return json;
}

std::string describe(const QuantizerAttributes& attributes) {
  std::string text = number_name(attributes) + " " + grouping_text(attributes);
  if (attributes.dynamic) text += " dynamic";
  if (attributes.narrow_range) text += " narrow";
  if (attributes.bias) text += " affine";
  if (attributes.rotate.enable) text += " rotated";
  if (attributes.use_constant_amax) text += " amax 448";
  if (attributes.constant_amax) text += fmt::format(" amax {}", *attributes.constant_amax);
  return text;
}

std::string describe(std::span<const QuantizerAttributes> stages) {
  std::vector<std::string> texts;
  for (const auto& stage : stages) texts.push_back(describe(stage));
  return fmt::format("{}", fmt::join(texts, " + "));
}

}  // namespace lathe::quantization
