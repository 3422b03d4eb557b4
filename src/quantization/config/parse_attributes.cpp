#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "quantization/config/attributes.h"
#include "quantization/config/strict_json.h"

namespace lathe::quantization {

using nlohmann::ordered_json;

namespace {

constexpr int64_t kMaxBlock = int64_t{1} << 31;
constexpr int kMaxAxis = 8;

constexpr std::array<std::string_view, 19> kKeys = {"num_bits",
                                                    "format",
                                                    "effective_bits",
                                                    "axis",
                                                    "block_sizes",
                                                    "fake_quant",
                                                    "unsigned",
                                                    "narrow_range",
                                                    "type",
                                                    "bias",
                                                    "calibrator",
                                                    "rotate",
                                                    "learn_amax",
                                                    "pass_through_bwd",
                                                    "use_constant_amax",
                                                    "constant_amax",
                                                    "trt_high_precision_dtype",
                                                    "backend",
                                                    "backend_extra_args"};
constexpr std::array<std::string_view, 2> kTypes = {"static", "dynamic"};
constexpr std::array<std::string_view, 2> kCalibrators = {"max", "histogram"};
constexpr std::array<std::string_view, 2> kBiasMethods = {"mean", "max_min"};
constexpr std::array<std::string_view, 3> kTrtDtypes = {"Float", "Half", "BFloat16"};
constexpr std::array<DType, 3> kTrtDtypeValues = {DType::kF32, DType::kF16, DType::kBF16};

struct NamedBits {
  std::string_view name;
  NumBits bits;
};
constexpr std::array<NamedBits, 6> kFloats = {{{"e4m3", kE4M3},
                                               {"e5m2", kE5M2},
                                               {"e2m1", kE2M1},
                                               {"e3m2", kE3M2},
                                               {"e2m3", kE2M3},
                                               {"e8m0", kE8M0}}};

[[noreturn]] void throw_bits(const ordered_json& value, bool scale, const std::string& where) {
  throw_user("{}: expected {}, found {}", where,
             scale ? "8, [4, 3] (e4m3) or [8, 0] (e8m0)"
                   : "an integer from 2 to 8 or one of [4, 3], [5, 2], [2, 1], [3, 2], [2, 3] "
                     "(e4m3, e5m2, e2m1, e3m2, e2m3)",
             shown(value));
}

std::optional<NumBits> float_bits(const ordered_json& value) {
  for (const auto& [name, bits] : kFloats) {
    const bool named = value.is_string() && value.get_ref<const std::string&>() == name;
    const bool listed = value == ordered_json::array({bits.exponent, bits.mantissa});
    if (named || listed) return bits;
  }
  return std::nullopt;
}

NumBits read_num_bits(const ordered_json& value, const std::string& where) {
  if (value.is_number_integer()) {
    return NumBits::integer(static_cast<int>(read_int(value, 2, 8, where)));
  }
  const auto bits = float_bits(value);
  if (!bits || *bits == kE8M0) throw_bits(value, false, where);
  return *bits;
}

NumBits read_scale_bits(const ordered_json& value, const std::string& where) {
  if (value == 8) return NumBits::integer(8);
  const auto bits = float_bits(value);
  if (bits != kE4M3 && bits != kE8M0) throw_bits(value, true, where);
  return *bits;
}

int read_axis_key(const std::string& key, const std::string& where) {
  int axis = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), axis);
  if (error != std::errc() || end != key.data() + key.size() || axis < -kMaxAxis ||
      axis >= kMaxAxis) {
    throw_user("{}: expected an axis from {} to {} as key, found {}", where, -kMaxAxis,
               kMaxAxis - 1, shown(key));
  }
  return axis;
}

void add_block(AxisBlocks& blocks, const std::string& key, const ordered_json& value,
               const std::string& where) {
  const int axis = read_axis_key(key, where);
  std::optional<int64_t> size;
  if (!value.is_null()) size = read_int(value, 1, kMaxBlock, where + "." + key);
  if (!blocks.emplace(axis, size).second) throw_user("{}: axis {} is given twice", where, axis);
}

AxisBlocks read_axis_blocks(const ordered_json& value, const std::string& where) {
  expect_object(value, where);
  AxisBlocks blocks;
  for (const auto& item : value.items()) add_block(blocks, item.key(), item.value(), where);
  return blocks;
}

bool read_flag(const ordered_json& value, const std::string& where) {
  if (value.is_number_integer()) return read_int(value, 0, 1, where) == 1;
  return read_bool(value, where);
}

bool read_type(const ordered_json& value, const std::string& where) {
  return read_word(value, kTypes, where) == 1;
}

void check_block_sizes(const BlockSizes& blocks, const std::string& where) {
  if (blocks.sizes.empty()) {
    throw_user("{}: expected an axis and its block size such as \"-1\": 16, found none", where);
  }
  if (blocks.dynamic && blocks.sizes.size() != 1) {
    throw_user("{}: dynamic blocks lie along one axis, found {}", where, blocks.sizes.size());
  }
  if (!blocks.scale_block_sizes.empty() && !blocks.scale_bits) {
    throw_user("{}: scale_block_sizes needs scale_bits", where);
  }
}

/// `before` is what a format gave: keys that are absent keep its values.
BlockSizes read_block_sizes(const ordered_json& value, const std::optional<BlockSizes>& before,
                            const std::string& where) {
  expect_object(value, where);
  BlockSizes blocks = before.value_or(BlockSizes{});
  AxisBlocks sizes;
  for (const auto& item : value.items()) {
    const std::string inner = where + "." + item.key();
    if (item.key() == "type") {
      blocks.dynamic = !item.value().is_null() && read_type(item.value(), inner);
    } else if (item.key() == "scale_bits") {
      blocks.scale_bits.reset();
      if (!item.value().is_null()) blocks.scale_bits = read_scale_bits(item.value(), inner);
    } else if (item.key() == "scale_block_sizes") {
      blocks.scale_block_sizes.clear();
      if (!item.value().is_null()) blocks.scale_block_sizes = read_axis_blocks(item.value(), inner);
    } else if (item.key() == "four_over_six") {
      blocks.four_over_six = !item.value().is_null() && read_flag(item.value(), inner);
    } else {
      add_block(sizes, item.key(), item.value(), where);
    }
  }
  if (!sizes.empty()) blocks.sizes = std::move(sizes);
  check_block_sizes(blocks, where);
  return blocks;
}

void sort_axes(std::vector<int>& axes, const std::string& where) {
  std::sort(axes.begin(), axes.end());
  const auto twice = std::adjacent_find(axes.begin(), axes.end());
  if (twice != axes.end()) throw_user("{}: axis {} is given twice", where, *twice);
}

std::vector<int> read_axes(const ordered_json& value, const std::string& where) {
  const auto one = [&](const ordered_json& axis) {
    return static_cast<int>(read_int(axis, -kMaxAxis, kMaxAxis - 1, where));
  };
  if (!value.is_array()) return {one(value)};
  std::vector<int> axes;
  for (const auto& axis : value) axes.push_back(one(axis));
  if (axes.empty()) throw_user("{}: expected an axis, found []", where);
  sort_axes(axes, where);
  return axes;
}

Rotation read_rotation(const ordered_json& value, const std::string& where) {
  static constexpr std::array<std::string_view, 4> kRotationKeys = {"enable", "mode", "rotate_fp32",
                                                                    "block_size"};
  static constexpr std::array<std::string_view, 2> kModes = {"rotate", "rotate_back"};
  if (value.is_boolean()) return {.enable = value.get<bool>()};
  expect_known_keys(value, kRotationKeys, where);
  Rotation rotation;
  if (const auto* enable = find_value(value, "enable")) {
    rotation.enable = read_bool(*enable, where + ".enable");
  }
  if (const auto* mode = find_value(value, "mode")) {
    rotation.rotate_back = read_word(*mode, kModes, where + ".mode") == 1;
  }
  if (const auto* float32 = find_value(value, "rotate_fp32")) {
    rotation.float32 = read_bool(*float32, where + ".rotate_fp32");
  }
  if (const auto* size = find_value(value, "block_size")) {
    rotation.block_size = read_int(*size, 1, kMaxBlock, where + ".block_size");
  }
  return rotation;
}

Bias read_bias(const ordered_json& value, const std::string& where) {
  expect_object(value, where);
  Bias bias;
  for (const auto& item : value.items()) {
    const std::string inner = where + "." + item.key();
    if (item.key() == "type") {
      bias.dynamic = read_type(item.value(), inner);
    } else if (item.key() == "method") {
      bias.method = static_cast<Bias::Method>(read_word(item.value(), kBiasMethods, inner));
    } else {
      bias.axes.push_back(read_axis_key(item.key(), where));
      if (!item.value().is_null()) {
        throw_user("{}: expected null, found {}", inner, shown(item.value()));
      }
    }
  }
  if (bias.axes.empty()) throw_user("{}: expected an axis such as \"-2\": null, found none", where);
  sort_axes(bias.axes, where);
  return bias;
}

double read_positive(const ordered_json& value, double high, const std::string& where) {
  const double number = read_number(value, where);
  if (number <= 0 || number > high) {
    throw_user("{}: expected a number above 0 and at most {}, found {}", where, high, number);
  }
  return number;
}

const NumberFormat& read_format(const ordered_json& value, const std::string& where) {
  std::vector<std::string_view> names;
  for (const auto& format : number_formats()) names.push_back(format.name);
  return number_formats()[read_word(value, names, where)];
}

/// num_bits beside a format repeats it (8 for fp8, 4 or e2m1 for nvfp4) or is a mistake.
void check_repeats(const NumBits& given, const NumberFormat& format, const std::string& where) {
  const NumBits& meant = format.attributes.num_bits;
  const bool same = given.is_float() ? given == meant : given.bits == meant.bits;
  if (!same) {
    throw_user("{}: num_bits contradicts format {}, whose numbers have {} bits", where, format.name,
               meant.bits);
  }
}

void read_numbers(const ordered_json& value, QuantizerAttributes& out, const std::string& where) {
  const auto* format_name = find_value(value, "format");
  const auto* num_bits = find_value(value, "num_bits");
  if (num_bits) out.num_bits = read_num_bits(*num_bits, where + ".num_bits");
  if (!format_name) return;
  const NumberFormat& format = read_format(*format_name, where + ".format");
  if (num_bits) check_repeats(out.num_bits, format, where + ".num_bits");
  out = format.attributes;
}

void read_grouping(const ordered_json& value, QuantizerAttributes& out, const std::string& where) {
  if (value.contains("axis")) out.axis.clear();
  if (const auto* axis = find_value(value, "axis")) out.axis = read_axes(*axis, where + ".axis");
  if (!value.contains("block_sizes")) return;
  out.effective_bits.reset();  // a format's number holds for its own blocks
  const auto* blocks = find_value(value, "block_sizes");
  out.block_sizes =
      blocks ? std::optional(read_block_sizes(*blocks, out.block_sizes, where + ".block_sizes"))
             : std::nullopt;
}

void read_switches(const ordered_json& value, QuantizerAttributes& out, const std::string& where) {
  const std::array<std::pair<const char*, bool*>, 5> switches = {
      {{"fake_quant", &out.fake_quant},
       {"unsigned", &out.unsigned_},
       {"narrow_range", &out.narrow_range},
       {"pass_through_bwd", &out.pass_through_bwd},
       {"use_constant_amax", &out.use_constant_amax}}};
  for (const auto& [key, target] : switches) {
    const auto* found = find_value(value, key);
    if (found) *target = read_bool(*found, where + "." + key);
  }
}

void read_calibration(const ordered_json& value, QuantizerAttributes& out,
                      const std::string& where) {
  if (const auto* type = find_value(value, "type")) out.dynamic = read_type(*type, where + ".type");
  if (const auto* calibrator = find_value(value, "calibrator")) {
    out.calibrator =
        static_cast<Calibrator>(read_word(*calibrator, kCalibrators, where + ".calibrator"));
  }
  if (const auto* amax = find_value(value, "constant_amax")) {
    constexpr double kMaxFloat = 3.4028234663852886e38;
    out.constant_amax = read_positive(*amax, kMaxFloat, where + ".constant_amax");
  }
  if (const auto* bits = find_value(value, "effective_bits")) {
    out.effective_bits = read_positive(*bits, 16, where + ".effective_bits");
  }
}

void read_rest(const ordered_json& value, QuantizerAttributes& out, const std::string& where) {
  if (const auto* bias = find_value(value, "bias")) out.bias = read_bias(*bias, where + ".bias");
  if (const auto* rotate = find_value(value, "rotate")) {
    out.rotate = read_rotation(*rotate, where + ".rotate");
  }
  if (const auto* dtype = find_value(value, "trt_high_precision_dtype")) {
    const std::string inner = where + ".trt_high_precision_dtype";
    out.trt_high_precision_dtype = kTrtDtypeValues[read_word(*dtype, kTrtDtypes, inner)];
  }
}

/// Keys of the peer's whose only value that Lathe can take is the default.
void refuse_foreign(const ordered_json& value, const std::string& where) {
  const auto* extra = find_value(value, "backend_extra_args");
  if (find_value(value, "backend") || (extra && !extra->empty())) {
    throw_user("{}.backend: custom backends are Python code, which Lathe does not run", where);
  }
  const auto* learn = find_value(value, "learn_amax");
  if (learn && read_bool(*learn, where + ".learn_amax")) {
    throw_user("{}.learn_amax: learned amax is not a property of a quantizer", where);
  }
}

/// Keys by which other tools ask for zero points.
void refuse_zero_points(const ordered_json& value, const std::string& where) {
  for (const char* key : {"symmetric", "zero_point", "has_zero_point"}) {
    if (!value.is_object() || !value.contains(key)) continue;
    throw_user("{}.{}: zero points (asymmetric quantization) are not supported; leave the key out",
               where, key);
  }
}

void check_float(const QuantizerAttributes& attributes, const std::string& where) {
  const auto& blocks = attributes.block_sizes;
  const NumBits& bits = attributes.num_bits;
  if (!bits.is_float()) return;
  if (attributes.unsigned_ || attributes.narrow_range) {
    throw_user("{}: unsigned and narrow_range are for integers, num_bits is e{}m{}", where,
               bits.exponent, bits.mantissa);
  }
  if (bits == kE2M1 && !blocks) throw_user("{}: num_bits e2m1 needs block_sizes", where);
  if (bits != kE4M3 && bits != kE2M1 && !(blocks && blocks->dynamic)) {
    throw_user("{}: num_bits e{}m{} needs block_sizes of type dynamic", where, bits.exponent,
               bits.mantissa);
  }
}

void check_attributes(const QuantizerAttributes& attributes, const std::string& where) {
  const auto& blocks = attributes.block_sizes;
  if (!attributes.axis.empty() && blocks) {
    throw_user("{}: axis and block_sizes exclude each other, found both", where);
  }
  if (attributes.use_constant_amax && attributes.constant_amax) {
    throw_user("{}: use_constant_amax (448) and constant_amax ({}) exclude each other, found both",
               where, *attributes.constant_amax);
  }
  check_float(attributes, where);
  const bool nvfp4 = attributes.num_bits == kE2M1 && blocks && blocks->scale_bits == kE4M3;
  if (blocks && blocks->four_over_six && !nvfp4) {
    throw_user("{}: four_over_six needs num_bits e2m1 and scale_bits e4m3", where);
  }
}

}  // namespace

QuantizerAttributes parse_attributes(const ordered_json& value, const std::string& where) {
  refuse_zero_points(value, where);
  expect_known_keys(value, kKeys, where);
  refuse_foreign(value, where);
  QuantizerAttributes attributes;
  read_numbers(value, attributes, where);
  read_grouping(value, attributes, where);
  read_switches(value, attributes, where);
  read_calibration(value, attributes, where);
  read_rest(value, attributes, where);
  check_attributes(attributes, where);
  return attributes;
}

}  // namespace lathe::quantization
