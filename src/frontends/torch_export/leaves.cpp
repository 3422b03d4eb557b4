#include "frontends/torch_export/leaves.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "frontends/torch_export/core_aten.h"
#include "frontends/torch_export/operators.h"
#include "frontends/torch_export/recurrent.h"
#include "ops/operator_leaves.h"

namespace lathe::frontends::torch_export {
namespace {

using ops::OperatorLeaf;

const Value* find_input(const FlatNode& node, std::string_view name) {
  for (const NamedValue& input : node.inputs) {
    if (input.name == name) return &input.value;
  }
  return nullptr;
}

/// An integer, or a float that is one (a scale of 2.0).
std::optional<int64_t> whole_number(const Value& value) {
  if (value.kind == Value::Kind::kInt) return value.integer;
  const bool is_whole = value.kind == Value::Kind::kFloat && std::abs(value.real) < 1e9 &&
                        value.real == std::trunc(value.real);
  return is_whole ? std::optional(static_cast<int64_t>(value.real)) : std::nullopt;
}

/// A constant as an attribute; nothing for what attributes do not hold.
std::optional<ir::Attribute> to_attribute(const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kBool:
      return value.integer != 0;
    case Kind::kInt:
      return value.integer;
    case Kind::kFloat:
      return value.real;
    case Kind::kString:
      return value.text;
    case Kind::kList: {
      std::vector<int64_t> items;
      for (const Value& item : value.items) {
        const auto whole = whole_number(item);
        if (!whole) return std::nullopt;
        items.push_back(*whole);
      }
      return items;
    }
    default:
      return std::nullopt;
  }
}

/// The schema's default as an attribute; nothing for None and what attributes do not hold.
std::optional<ir::Attribute> default_attribute(const c10::Argument& formal) {
  if (!formal.default_value()) return std::nullopt;
  const c10::IValue& value = *formal.default_value();
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return value.toInt();
  if (value.isDouble()) return value.toDouble();
  if (value.isString()) return value.toStringRef();
  if (value.isIntList()) return value.toIntVector();
  return std::nullopt;
}

bool is_tensor(c10::TypePtr type) {
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  return type->kind() == c10::TypeKind::TensorType;
}

/// Fills in a leaf of one operator from a node, argument by argument.
class OperatorMatch {
 public:
  OperatorMatch(const OperatorLeaf& leaf, const FlatNode& node, const LeafContext& context)
      : leaf_(leaf), node_(node), context_(context) {}

  std::optional<RecoveredLeaf> match(const c10::FunctionSchema& schema) {
    size_t known = 0;
    for (const c10::Argument& formal : schema.arguments()) {
      const Value* value = find_input(node_, formal.name());
      known += value != nullptr;
      if (!take(formal, value)) return std::nullopt;
    }
    if (known != node_.inputs.size()) return std::nullopt;
    for (const Value& output : node_.outputs) {
      if (output.kind != Value::Kind::kName) return std::nullopt;
      result_.results.push_back(output.text);
    }
    return std::move(result_);
  }

 private:
  bool take(const c10::Argument& formal, const Value* value) {
    if (ops::has_word(leaf_.ignored, formal.name())) return true;
    if (ops::has_word(leaf_.parameters, formal.name())) {
      if (value == nullptr || value->kind == Value::Kind::kNone) return true;
      return value->kind == Value::Kind::kName && context_.parameter(value->text) == formal.name();
    }
    if (is_tensor(formal.type())) return take_tensor(value);
    if (value == nullptr) {
      if (auto attribute = default_attribute(formal))
        result_.attributes.set(formal.name(), *attribute);
      return true;
    }
    if (!fits(*value, *formal.type())) return false;
    if (value->kind == Value::Kind::kNone) return true;
    auto attribute = to_attribute(*value);
    if (!attribute) return false;
    result_.attributes.set(formal.name(), *std::move(attribute));
    return true;
  }

  /// The call's arguments come first to last: none may be left out before another.
  bool take_tensor(const Value* value) {
    if (value == nullptr || value->kind == Value::Kind::kNone) {
      left_out_ = true;
      return true;
    }
    if (value->kind != Value::Kind::kName || left_out_) return false;
    result_.arguments.push_back(value->text);
    return true;
  }

  const OperatorLeaf& leaf_;
  const FlatNode& node_;
  const LeafContext& context_;
  RecoveredLeaf result_;
  bool left_out_ = false;
};

/// "aten::relu" for "aten::relu_" and what else is the same but changes its input.
std::string without_underscore(const std::string& op) {
  const size_t dot = std::min(op.find('.'), op.size());
  if (dot == 0 || op.empty() || op[dot - 1] != '_') return op;
  return op.substr(0, dot - 1) + op.substr(dot);
}

/// The operator's name; "" if it is not known.
std::string known_operator(const std::string& target) {
  try {
    return operator_name(target);
  } catch (const Untraceable&) {
    return {};
  }
}

/// RMSNorm without an epsilon takes that of its input's dtype.
void fill_epsilon(RecoveredLeaf& leaf) {
  if (leaf.attributes.find("eps") == nullptr)
    leaf.attributes.set("eps", static_cast<double>(std::numeric_limits<float>::epsilon()));
}

/// Says which operator it is where the attributes alone do not.
void name_operator(const std::string& type, const std::string& op, RecoveredLeaf& leaf) {
  ir::Module module(type);
  module.attributes = leaf.attributes;
  if (ops::operator_of(module) != op) leaf.attributes.set("operator", op);
}

std::optional<RecoveredLeaf> match_operator(const std::string& type, const FlatNode& node,
                                            const LeafContext& context) {
  const std::string op = known_operator(node.target);
  const std::string pure = without_underscore(op);
  if (pure != op && !context.may_copy(node)) return std::nullopt;
  for (const OperatorLeaf& leaf : ops::operator_leaves()) {
    if (leaf.type != type || leaf.op != pure) continue;
    const size_t dot = pure.find('.');
    const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(
        pure.substr(0, dot).c_str(), dot == pure.npos ? "" : pure.substr(dot + 1).c_str());
    auto match = OperatorMatch(leaf, node, context).match(handle.schema());
    if (!match) continue;
    if (pure != op) match->attributes.set("inplace", true);
    if (type == "RMSNorm") fill_epsilon(*match);
    name_operator(type, pure, *match);
    return match;
  }
  return std::nullopt;
}

}  // namespace

std::string torch_nn_type(const std::string& class_name) {
  constexpr std::string_view kPrefix = "torch.nn.modules.";
  if (!class_name.starts_with(kPrefix)) return {};
  return class_name.substr(class_name.rfind('.') + 1);
}

std::string guess_leaf_type(const Call& call) {
  if (call.items.size() != 1 || call.items[0].node == nullptr) return {};
  for (const std::string_view type :
       {"Linear", "Embedding", "Conv1d", "Conv2d", "Conv3d", "LayerNorm", "GroupNorm", "RMSNorm"}) {
    for (const OperatorLeaf& leaf : ops::operator_leaves()) {
      if (leaf.type == type && leaf.op == known_operator(call.items[0].node->target))
        return std::string(type);
    }
  }
  return {};
}

namespace {

bool are_tensors(const std::vector<std::string>& values, const LeafContext& context) {
  return std::all_of(values.begin(), values.end(),
                     [&](const std::string& value) { return context.tensor(value) != nullptr; });
}

std::optional<RecoveredLeaf> recover_any(const std::string& type, const Call& call,
                                         const LeafContext& context) {
  if (auto leaf = recover_recurrent(type, call, context)) return leaf;
  if (const auto node = recompose(call, context)) return match_operator(type, *node, context);
  if (call.items.size() != 1 || call.items[0].node == nullptr) return std::nullopt;
  return match_operator(type, *call.items[0].node, context);
}

}  // namespace

std::optional<RecoveredLeaf> recover_leaf(const std::string& type, const Call& call,
                                          const LeafContext& context) {
  auto leaf = recover_any(type, call, context);
  const bool fits =
      leaf && are_tensors(leaf->arguments, context) && are_tensors(leaf->results, context);
  return fits ? std::move(leaf) : std::nullopt;
}

}  // namespace lathe::frontends::torch_export
