#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::quantization {

/// The numbers a quantizer rounds to: integers of `bits` bits, or floats of `exponent` and
/// `mantissa` bits ("E4M3"). `bits` counts the sign; E8M0 has none.
struct NumBits {
  int bits = 8;
  int exponent = 0;  // exponent and mantissa are 0 for integers
  int mantissa = 0;

  static constexpr NumBits integer(int bits) { return {.bits = bits}; }
  static constexpr NumBits floating(int exponent, int mantissa) {
    const int sign = exponent == 8 && mantissa == 0 ? 0 : 1;
    return {.bits = sign + exponent + mantissa, .exponent = exponent, .mantissa = mantissa};
  }
  constexpr bool is_float() const { return exponent != 0; }
  bool operator==(const NumBits&) const = default;
};

inline constexpr NumBits kE4M3 = NumBits::floating(4, 3);
inline constexpr NumBits kE5M2 = NumBits::floating(5, 2);
inline constexpr NumBits kE2M1 = NumBits::floating(2, 1);
inline constexpr NumBits kE3M2 = NumBits::floating(3, 2);
inline constexpr NumBits kE2M3 = NumBits::floating(2, 3);
inline constexpr NumBits kE8M0 = NumBits::floating(8, 0);

/// Axis (negative: from the end) to block size; no size: the whole axis is one block.
using AxisBlocks = std::map<int, std::optional<int64_t>>;

/// Blocks of elements that share a scale.
struct BlockSizes {
  AxisBlocks sizes;
  bool dynamic = false;               // scales from the data at hand, not from calibration
  std::optional<NumBits> scale_bits;  // the scales are quantized themselves
  AxisBlocks scale_block_sizes;       // blocks of scales that share a scale
  bool four_over_six = false;         // NVFP4: a block's largest value becomes 6 or 4

  bool operator==(const BlockSizes&) const = default;
};

/// Normalized Hadamard transform of the last axis before quantizing.
struct Rotation {
  bool enable = false;
  bool rotate_back = false;           // and once more after it
  bool float32 = false;               // computed in float32
  std::optional<int64_t> block_size;  // in blocks of the last axis

  bool operator==(const Rotation&) const = default;
};

/// Affine quantization: y = Q(x - b) + b.
struct Bias {
  enum class Method { kMean, kMaxMin };

  std::vector<int> axes;  // those that b is computed over, ascending
  bool dynamic = false;
  Method method = Method::kMean;

  bool operator==(const Bias&) const = default;
};

/// How amax is gathered from the calibration data.
enum class Calibrator { kMax, kHistogram };

/// What one quantizer does to a tensor; the defaults are INT8 with one static scale. Whether it
/// does it (`enable`) belongs to the quantizer, which entries switch without touching these: see
/// ResolvedQuantizer.
struct QuantizerAttributes {
  NumBits num_bits;
  std::optional<double> effective_bits;  // bits an element costs in a search, scales included
  std::vector<int> axis;                 // these axes keep a scale for each index; empty: one scale
  std::optional<BlockSizes> block_sizes;  // never together with axis
  bool fake_quant = true;
  bool unsigned_ = false;     // integers from 0
  bool narrow_range = false;  // integers from -max instead of -max - 1
  bool dynamic = false;       // amax from the data at hand, not from calibration
  std::optional<Bias> bias;
  Calibrator calibrator = Calibrator::kMax;
  Rotation rotate;
  bool pass_through_bwd = true;
  bool use_constant_amax = false;       // amax is 448 (an FP8 scale of 1) and nothing is calibrated
  std::optional<double> constant_amax;  // amax is this value and nothing is calibrated
  DType trt_high_precision_dtype = DType::kF32;  // F32, F16 or BF16

  bool operator==(const QuantizerAttributes&) const = default;
};

/// Reads {"num_bits": 4, "block_sizes": {"-1": 128}} and the like: the keys of
/// QuantizerAttributes (`unsigned` for unsigned_, `type: static | dynamic` for dynamic) and
/// `format`, the name of a number format, whose attributes the other keys change. num_bits is 8,
/// [4, 3] or "e4m3". UserError that begins with `where` for an unknown key, a wrong type or a
/// combination that means nothing.
QuantizerAttributes parse_attributes(const nlohmann::ordered_json& value, const std::string& where);

/// The keys whose values are not the default, such that parse_attributes gives the same back.
nlohmann::ordered_json to_json(const QuantizerAttributes& attributes);

/// "fp8 per-tensor", "nvfp4 block 16 dynamic", "int4 block 128", "int8 per-channel".
std::string describe(const QuantizerAttributes& attributes);
/// The stages of a sequential quantizer: "int4 block 128 + fp8 per-tensor".
std::string describe(std::span<const QuantizerAttributes> stages);

/// A named number format: its attributes, as `format: nvfp4` gives them.
struct NumberFormat {
  std::string_view name;
  QuantizerAttributes attributes;
};

/// fp8, int8, int8_per_channel, int4_per_block (int4), mxfp8, mxfp6, mxfp4, mxint8, nvfp4,
/// nvfp4_bs32, nvfp4_static, nvfp4_four_over_six.
const std::vector<NumberFormat>& number_formats();
const NumberFormat* find_number_format(std::string_view name);

}  // namespace lathe::quantization
