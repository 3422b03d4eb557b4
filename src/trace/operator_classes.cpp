#include "trace/operator_classes.h"

#include <string>
#include <unordered_map>
#include <unordered_set>

namespace lathe::trace {
namespace {

using Names = std::unordered_set<std::string_view>;

const Names& unary_names() {
  static const Names names = {
      // one tensor, element by element
      "abs", "absolute", "acos", "arccos", "acosh", "arccosh", "angle", "asin", "arcsin", "asinh",
      "arcsinh", "atan", "arctan", "atanh", "arctanh", "bitwise_not", "ceil", "conj_physical",
      "cos", "cosh", "deg2rad", "digamma", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fix",
      "floor", "frac", "i0", "imag", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal",
      "lgamma", "log", "log10", "log1p", "log2", "logical_not", "logit", "mvlgamma", "nan_to_num",
      "neg", "negative", "positive", "rad2deg", "real", "reciprocal", "round", "rsqrt", "sgn",
      "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
      // activations
      "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
      "leaky_relu", "log_sigmoid", "log_softmax", "mish", "prelu", "relu", "relu6", "rrelu", "selu",
      "silu", "softmax", "softplus", "softshrink", "threshold",
      // a second tensor that has the shape of the first
      "arctan2", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
      "bitwise_xor",
      // along a dimension
      "cumprod", "cumsum", "logcumsumexp", "renorm", "tril", "triu",
      // in training
      "alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout",
      // copies
      "alias", "clone", "detach", "lift_fresh", "lift_fresh_copy"};
  return names;
}

const Names& elementwise_names() {
  static const Names names = {
      "__and__",       "__or__",      "__xor__",     "add",          "addcdiv",
      "addcmul",       "clamp",       "clip",        "copysign",     "div",
      "divide",        "eq",          "float_power", "floor_divide", "fmax",
      "fmin",          "fmod",        "gcd",         "ge",           "greater",
      "greater_equal", "gt",          "hypot",       "igamma",       "igammac",
      "isclose",       "isin",        "lcm",         "ldexp",        "le",
      "lerp",          "less",        "less_equal",  "logaddexp",    "logaddexp2",
      "logical_and",   "logical_or",  "logical_xor", "lt",           "maximum",
      "minimum",       "mul",         "multiply",    "ne",           "nextafter",
      "not_equal",     "pow",         "remainder",   "rsub",         "sub",
      "subtract",      "true_divide", "xlogy"};
  return names;
}

using Dims = std::set<int64_t>;

std::unordered_map<std::string, Dims> make_spatial_operators() {
  std::unordered_map<std::string, Dims> operators;
  for (int64_t spatial = 1; spatial <= 3; ++spatial) {
    const std::string suffix = std::to_string(spatial) + "d";
    for (const char* kind : {"avg_pool", "max_pool", "max_unpool", "adaptive_avg_pool",
                             "adaptive_max_pool", "fractional_max_pool"}) {
      operators[kind + suffix] = Dims{0, 1, -(spatial + 1)};
    }
    operators["max_pool" + suffix + "_with_indices"] = Dims{0, 1, -(spatial + 1)};
    for (const char* kind : {"reflection_pad", "replication_pad"})
      operators[kind + suffix] = Dims{0, 1};
  }
  for (const char* name :
       {"pad", "constant_pad_nd", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
        "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
        "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"}) {
    operators[name] = Dims{0, 1};
  }
  return operators;
}

const Dims* spatial_dims(std::string_view name) {
  static const std::unordered_map<std::string, Dims> kOperators = make_spatial_operators();
  const auto found = kOperators.find(std::string(name));
  return found == kOperators.end() ? nullptr : &found->second;
}

std::unordered_map<std::string, Dims> make_spatial_modules() {
  std::unordered_map<std::string, Dims> modules;
  for (int64_t spatial = 1; spatial <= 3; ++spatial) {
    const std::string suffix = std::to_string(spatial) + "d";
    for (const char* kind :
         {"MaxPool", "MaxUnpool", "AvgPool", "FractionalMaxPool", "LPPool", "AdaptiveMaxPool",
          "AdaptiveAvgPool", "ReflectionPad", "ReplicationPad", "ZeroPad", "ConstantPad"}) {
      modules[kind + suffix] = Dims{0, 1, -(spatial + 1)};
    }
  }
  for (const char* type : {"Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"})
    modules[type] = Dims{1};
  return modules;
}

const Names& unary_modules() {
  static const Names names = {"AlphaDropout", "CELU",       "Dropout",    "Dropout1d",
                              "Dropout2d",    "Dropout3d",  "ELU",        "FeatureAlphaDropout",
                              "GELU",         "GLU",        "Hardshrink", "Hardsigmoid",
                              "Hardswish",    "Hardtanh",   "Identity",   "LeakyReLU",
                              "LogSigmoid",   "LogSoftmax", "Mish",       "PReLU",
                              "RReLU",        "ReLU",       "ReLU6",      "SELU",
                              "SiLU",         "Sigmoid",    "Softmax",    "Softmax2d",
                              "Softmin",      "Softplus",   "Softshrink", "Softsign",
                              "Tanh",         "Tanhshrink", "Threshold",  "TensorQuantizer"};
  return names;
}

}  // namespace

std::string_view operator_name(std::string_view target) {
  if (const size_t colons = target.rfind("::"); colons != target.npos)
    target.remove_prefix(colons + 2);
  target = target.substr(0, target.find('.'));
  const bool is_dunder = target.size() > 2 && target.ends_with("__");
  if (target.ends_with('_') && !is_dunder) target.remove_suffix(1);
  return target;
}

namespace {

/// quantized_decomposed's: codes and values have the same dimensions, scales none that count.
bool is_decomposed_quantizer(std::string_view target) {
  constexpr std::string_view kNamespace = "quantized_decomposed::";
  if (!target.starts_with(kNamespace)) return false;
  const std::string_view name = operator_name(target);
  return name.starts_with("quantize_per_") || name.starts_with("dequantize_per_") ||
         name.starts_with("fake_quant_per_") || name == "convert_element_type";
}

}  // namespace

OperatorClass operator_class(std::string_view target) {
  if (is_decomposed_quantizer(target)) return OperatorClass::kUnary;
  if (!target.starts_with("aten::")) return OperatorClass::kOther;
  const std::string_view name = operator_name(target);
  if (unary_names().contains(name) || spatial_dims(name) != nullptr) return OperatorClass::kUnary;
  if (elementwise_names().contains(name)) return OperatorClass::kElementwise;
  if (name == "mean") return OperatorClass::kMean;
  if (name == "cat" || name == "concat" || name == "concatenate")
    return OperatorClass::kConcatenation;
  if (name == "sym_size" || name == "size") return OperatorClass::kSizeOf;
  if (name.starts_with("_assert") || name.starts_with("sym_constrain_range"))
    return OperatorClass::kAssertion;
  return OperatorClass::kOther;
}

std::optional<Passthrough> operator_passthrough(std::string_view target) {
  if (operator_class(target) != OperatorClass::kUnary) return std::nullopt;
  const Dims* dims = spatial_dims(operator_name(target));
  return dims == nullptr ? Passthrough() : Passthrough{*dims};
}

std::optional<Passthrough> module_passthrough(std::string_view type) {
  static const std::unordered_map<std::string, Dims> kSpatial = make_spatial_modules();
  if (unary_modules().contains(type)) return Passthrough();
  const auto found = kSpatial.find(std::string(type));
  if (found == kSpatial.end()) return std::nullopt;
  return Passthrough{found->second};
}

bool is_sum(std::string_view target) {
  return target.starts_with("aten::add") && operator_name(target) == "add";
}

}  // namespace lathe::trace
