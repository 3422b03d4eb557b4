#include "ops/operator_leaves.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <array>

#include "base/error.h"

namespace lathe::ops {
namespace {

using c10::IValue;
using Arguments = std::span<const IValue>;

constexpr std::string_view kWeightBias = "weight bias";
constexpr std::string_view kStatistics = "weight bias running_mean running_var";

constexpr auto kLeaves = std::to_array<OperatorLeaf>({
    {"Linear", "aten::linear", kWeightBias, ""},
    {"Embedding", "aten::embedding", "weight", "padding_idx scale_grad_by_freq sparse"},
    {"Conv1d", "aten::conv1d", kWeightBias, ""},
    {"Conv1d", "aten::conv1d.padding", kWeightBias, ""},
    {"Conv2d", "aten::conv2d", kWeightBias, ""},
    {"Conv2d", "aten::conv2d.padding", kWeightBias, ""},
    {"Conv3d", "aten::conv3d", kWeightBias, ""},
    {"Conv3d", "aten::conv3d.padding", kWeightBias, ""},
    {"ConvTranspose1d", "aten::conv_transpose1d", kWeightBias, ""},
    {"ConvTranspose2d", "aten::conv_transpose2d.input", kWeightBias, ""},
    {"ConvTranspose3d", "aten::conv_transpose3d.input", kWeightBias, ""},
    {"BatchNorm1d", "aten::batch_norm", kStatistics, "cudnn_enabled"},
    {"BatchNorm2d", "aten::batch_norm", kStatistics, "cudnn_enabled"},
    {"BatchNorm3d", "aten::batch_norm", kStatistics, "cudnn_enabled"},
    {"SyncBatchNorm", "aten::batch_norm", kStatistics, "cudnn_enabled"},
    {"InstanceNorm1d", "aten::instance_norm", kStatistics, "cudnn_enabled"},
    {"InstanceNorm2d", "aten::instance_norm", kStatistics, "cudnn_enabled"},
    {"InstanceNorm3d", "aten::instance_norm", kStatistics, "cudnn_enabled"},
    {"LayerNorm", "aten::layer_norm", kWeightBias, "cudnn_enable"},
    {"RMSNorm", "aten::rms_norm", "weight", ""},
    {"GroupNorm", "aten::group_norm", kWeightBias, "cudnn_enabled"},
    {"ReLU", "aten::relu", "", ""},
    {"ReLU6", "aten::relu6", "", ""},
    {"ReLU6", "aten::hardtanh", "", ""},
    {"GELU", "aten::gelu", "", ""},
    {"SiLU", "aten::silu", "", ""},
    {"Mish", "aten::mish", "", ""},
    {"Sigmoid", "aten::sigmoid", "", ""},
    {"Tanh", "aten::tanh", "", ""},
    {"LeakyReLU", "aten::leaky_relu", "", ""},
    {"PReLU", "aten::prelu", "weight", ""},
    {"ELU", "aten::elu", "", ""},
    {"SELU", "aten::selu", "", ""},
    {"CELU", "aten::celu", "", ""},
    {"Hardtanh", "aten::hardtanh", "", ""},
    {"Hardswish", "aten::hardswish", "", ""},
    {"Hardsigmoid", "aten::hardsigmoid", "", ""},
    {"Hardshrink", "aten::hardshrink", "", ""},
    {"Softshrink", "aten::softshrink", "", ""},
    {"Threshold", "aten::threshold", "", ""},
    {"Softplus", "aten::softplus", "", ""},
    {"LogSigmoid", "aten::log_sigmoid", "", ""},
    {"Softmax", "aten::softmax.int", "", ""},
    {"LogSoftmax", "aten::log_softmax.int", "", ""},
    {"GLU", "aten::glu", "", ""},
    {"Dropout", "aten::dropout", "", ""},
    {"Dropout1d", "aten::feature_dropout", "", ""},
    {"Dropout2d", "aten::feature_dropout", "", ""},
    {"Dropout3d", "aten::feature_dropout", "", ""},
    {"AlphaDropout", "aten::alpha_dropout", "", ""},
    {"FeatureAlphaDropout", "aten::feature_alpha_dropout", "", ""},
    {"MaxPool1d", "aten::max_pool1d", "", ""},
    {"MaxPool2d", "aten::max_pool2d", "", ""},
    {"MaxPool3d", "aten::max_pool3d", "", ""},
    {"AvgPool1d", "aten::avg_pool1d", "", ""},
    {"AvgPool2d", "aten::avg_pool2d", "", ""},
    {"AvgPool3d", "aten::avg_pool3d", "", ""},
    {"AdaptiveAvgPool1d", "aten::adaptive_avg_pool1d", "", ""},
    {"AdaptiveAvgPool2d", "aten::adaptive_avg_pool2d", "", ""},
    {"AdaptiveAvgPool3d", "aten::adaptive_avg_pool3d", "", ""},
    {"Flatten", "aten::flatten.using_ints", "", ""},
    {"Unflatten", "aten::unflatten.int", "", ""},
    {"PixelShuffle", "aten::pixel_shuffle", "", ""},
    {"PixelUnshuffle", "aten::pixel_unshuffle", "", ""},
    {"ChannelShuffle", "aten::channel_shuffle", "", ""},
    {"Upsample", "aten::upsample_nearest1d.vec", "", ""},
    {"Upsample", "aten::upsample_nearest2d.vec", "", ""},
    {"Upsample", "aten::upsample_nearest3d.vec", "", ""},
    {"Upsample", "aten::upsample_bilinear2d.vec", "", ""},
    {"Upsample", "aten::upsample_bicubic2d.vec", "", ""},
    {"Upsample", "aten::upsample_trilinear3d.vec", "", ""},
    {"Upsample", "aten::upsample_linear1d.vec", "", ""},
    {"ZeroPad2d", "aten::pad", "", ""},
    {"ConstantPad1d", "aten::pad", "", ""},
    {"ConstantPad2d", "aten::pad", "", ""},
    {"ReflectionPad1d", "aten::pad", "", ""},
    {"ReflectionPad2d", "aten::pad", "", ""},
    {"ReplicationPad1d", "aten::pad", "", ""},
    {"ReplicationPad2d", "aten::pad", "", ""},
    {"CircularPad2d", "aten::pad", "", ""},
});

/// Attributes that say where a module comes from and change no value.
constexpr std::string_view kRemarks = "class inplace";

/// Types that LeafTable runs by functions of its own; the table is for those who make leaves.
constexpr std::string_view kOwnFunctions = "Linear Embedding LayerNorm RMSNorm ReLU GELU SiLU";

struct ToValue {
  IValue operator()(bool value) const { return value; }
  IValue operator()(int64_t value) const { return value; }
  IValue operator()(double value) const { return value; }
  IValue operator()(const std::string& value) const { return value; }
  IValue operator()(const std::vector<int64_t>& value) const { return value; }
};

struct ToArgument {
  ir::Argument operator()(const std::vector<int64_t>& items) const {
    return ir::Argument::List(items.begin(), items.end());
  }
  template <typename Value>
  ir::Argument operator()(const Value& value) const {
    return value;
  }
};

IValue real_list(const IValue& integers) {
  std::vector<double> items;
  for (const int64_t item : integers.toIntVector()) items.push_back(static_cast<double>(item));
  return items;
}

/// The attribute as an argument of that type; None if it does not suit.
IValue attribute_value(const ir::Attribute& attribute, c10::TypePtr type) {
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  const IValue value = std::visit(ToValue(), attribute);
  switch (type->kind()) {
    case c10::TypeKind::FloatType:
      return value.isInt() ? IValue(static_cast<double>(value.toInt())) : value;
    case c10::TypeKind::ListType:
      if (!value.isIntList()) return {};
      if (type->containedType(0)->kind() == c10::TypeKind::FloatType) return real_list(value);
      return value;
    case c10::TypeKind::StringType:
      return value.isString() ? value : IValue();
    default:
      return value;
  }
}

bool is_tensor(c10::TypePtr type) {
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  return type->kind() == c10::TypeKind::TensorType;
}

c10::OperatorHandle find(std::string_view target) {
  const size_t dot = target.find('.');
  const std::string name(target.substr(0, dot));
  const std::string overload(dot == target.npos ? "" : target.substr(dot + 1));
  return c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), overload.c_str());
}

/// Whether the module's attributes are ones that the operator takes.
bool suits(const OperatorLeaf& leaf, const ir::Module& module) {
  if (const ir::Attribute* op = module.attributes.find("operator"))
    return std::get<std::string>(*op) == leaf.op;
  const c10::OperatorHandle handle = find(leaf.op);
  for (const auto& [name, attribute] : module.attributes) {
    if (!has_word(kRemarks, name) && !handle.schema().argumentIndexWithName(name)) return false;
  }
  for (const c10::Argument& formal : handle.schema().arguments()) {
    const ir::Attribute* attribute = module.attributes.find(formal.name());
    if (attribute != nullptr && attribute_value(*attribute, formal.type()).isNone()) return false;
  }
  return true;
}

const OperatorLeaf& choose(const ir::Module& module) {
  for (const OperatorLeaf& leaf : kLeaves) {
    if (leaf.type == module.type && suits(leaf, module)) return leaf;
  }
  throw_internal("{} has attributes that no operator takes", module.type);
}

IValue parameter_value(const ir::Module& module, std::string_view name) {
  const ir::ParameterPtr parameter = module.find_parameter(name);
  return parameter ? IValue(parameter->tensor()) : IValue();
}

/// Of an argument that is no attribute; an optional one is None.
IValue default_value(const ir::Module& module, const c10::Argument& formal) {
  if (formal.default_value()) return *formal.default_value();
  check_internal(formal.type()->kind() == c10::TypeKind::OptionalType, "{} has no attribute {}",
                 module.type, formal.name());
  return {};
}

IValue run(const ir::Module& module, Arguments arguments) {
  const OperatorLeaf& leaf = choose(module);
  const c10::OperatorHandle op = find(leaf.op);
  torch::jit::Stack stack;
  size_t next = 0;
  for (const c10::Argument& formal : op.schema().arguments()) {
    const ir::Attribute* attribute = module.attributes.find(formal.name());
    if (has_word(leaf.parameters, formal.name())) {
      stack.push_back(parameter_value(module, formal.name()));
    } else if (attribute != nullptr) {
      stack.push_back(attribute_value(*attribute, formal.type()));
    } else if (is_tensor(formal.type()) && next < arguments.size()) {
      stack.push_back(arguments[next++]);
    } else if (has_word(leaf.ignored, formal.name())) {
      stack.push_back(formal.default_value().value_or(false));
    } else {
      stack.push_back(default_value(module, formal));
    }
  }
  check_internal(next == arguments.size(), "{} takes {} arguments, {} are given", module.type, next,
                 arguments.size());
  op.callBoxed(stack);
  if (stack.size() == 1) return std::move(stack[0]);
  return c10::ivalue::Tuple::create(std::move(stack));
}

}  // namespace

std::span<const OperatorLeaf> operator_leaves() { return kLeaves; }

std::string_view operator_of(const ir::Module& module) { return choose(module).op; }

std::vector<std::pair<std::string, ir::Argument>> operator_arguments(const ir::Module& module) {
  const c10::OperatorHandle op = find(choose(module).op);
  std::vector<std::pair<std::string, ir::Argument>> arguments;
  for (const auto& [name, attribute] : module.attributes) {
    if (op.schema().argumentIndexWithName(name))
      arguments.emplace_back(name, std::visit(ToArgument(), attribute));
  }
  return arguments;
}

bool has_word(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const size_t space = std::min(list.find(' '), list.size());
    if (list.substr(0, space) == name) return true;
    list.remove_prefix(std::min(space + 1, list.size()));
  }
  return false;
}

void add_operator_leaves(LeafTable& table) {
  for (const OperatorLeaf& leaf : kLeaves) {
    const bool has_own_function = has_word(kOwnFunctions, leaf.type);
    if (!has_own_function) table.add(std::string(leaf.type), run);
  }
}

}  // namespace lathe::ops
