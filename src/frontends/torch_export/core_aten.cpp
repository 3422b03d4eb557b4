#include "frontends/torch_export/core_aten.h"

#include <algorithm>

namespace lathe::frontends::torch_export {
namespace {

using Kind = Value::Kind;

Value input_of(const FlatNode& node, std::string_view name) {
  for (const NamedValue& input : node.inputs) {
    if (input.name == name) return input.value;
  }
  return {};
}

bool is_op(const FlatNode& node, std::string_view op) {
  return node.target.starts_with("torch.ops.aten.") &&
         std::string_view(node.target).substr(std::string_view("torch.ops.aten.").size()) == op;
}

Value bool_value(bool value) { return {.kind = Kind::kBool, .integer = value}; }

FlatNode make_node(const std::string& op, std::vector<NamedValue> inputs, Value output) {
  return {.target = "torch.ops.aten." + op,
          .inputs = std::move(inputs),
          .outputs = {std::move(output)}};
}

std::optional<FlatNode> from_convolution(const FlatNode& node) {
  const size_t dimensions = input_of(node, "stride").items.size();
  if (dimensions < 1 || dimensions > 3) return std::nullopt;
  std::vector<NamedValue> inputs;
  for (const char* name : {"input", "weight", "bias", "stride", "padding", "dilation", "groups"})
    inputs.push_back({name, input_of(node, name)});
  if (input_of(node, "transposed").integer == 0)
    return make_node("conv" + std::to_string(dimensions) + "d.default", std::move(inputs),
                     node.outputs[0]);
  inputs.push_back({"output_padding", input_of(node, "output_padding")});
  const char* overload = dimensions == 1 ? "d.default" : "d.input";
  return make_node("conv_transpose" + std::to_string(dimensions) + overload, std::move(inputs),
                   node.outputs[0]);
}

/// The same arguments under the names of the operator that it was.
std::optional<FlatNode> from_norm(const FlatNode& node) {
  const auto take = [&](std::initializer_list<const char*> names) {
    std::vector<NamedValue> inputs;
    for (const char* name : names) inputs.push_back({name, input_of(node, name)});
    return inputs;
  };
  if (is_op(node, "_native_batch_norm_legit_no_training.default")) {
    auto inputs = take({"input", "weight", "bias", "running_mean", "running_var"});
    inputs.push_back({"training", bool_value(false)});
    inputs.push_back({"momentum", input_of(node, "momentum")});
    inputs.push_back({"eps", input_of(node, "eps")});
    inputs.push_back({"cudnn_enabled", bool_value(false)});
    return make_node("batch_norm.default", std::move(inputs), node.outputs[0]);
  }
  if (is_op(node, "native_layer_norm.default")) {
    return make_node("layer_norm.default",
                     take({"input", "normalized_shape", "weight", "bias", "eps"}), node.outputs[0]);
  }
  if (is_op(node, "native_group_norm.default")) {
    auto inputs = take({"input", "weight", "bias", "eps"});
    inputs.push_back({"num_groups", input_of(node, "group")});
    return make_node("group_norm.default", std::move(inputs), node.outputs[0]);
  }
  return std::nullopt;
}

std::optional<FlatNode> from_one(const FlatNode& node) {
  if (node.outputs.empty()) return std::nullopt;
  if (is_op(node, "convolution.default")) return from_convolution(node);
  for (const char* dimensions : {"2d", "3d"}) {
    const std::string pool = std::string("max_pool") + dimensions;
    if (is_op(node, pool + "_with_indices.default"))
      return make_node(pool + ".default", node.inputs, node.outputs[0]);
  }
  return from_norm(node);
}

/// Sizes of a value that differ from `other`'s in the last dimension alone.
bool same_but_last(const TensorMeta* a, const TensorMeta* b) {
  return a != nullptr && b != nullptr && !a->sizes.empty() && a->sizes.size() == b->sizes.size() &&
         std::equal(a->sizes.begin(), a->sizes.end() - 1, b->sizes.begin());
}

bool same_last(const TensorMeta* a, const TensorMeta* b) {
  return a != nullptr && b != nullptr && !a->sizes.empty() && !b->sizes.empty() &&
         a->sizes.back() && a->sizes.back() == b->sizes.back();
}

/// linear: the weight's transpose and a product of matrices, maybe between a view to a matrix and
/// one back.
class LinearMatch {
 public:
  LinearMatch(const Call& call, const LeafContext& context) : context_(context) {
    for (const Call::Item& item : call.items) nodes_.push_back(item.node);
  }

  std::optional<FlatNode> match() {
    if (std::find(nodes_.begin(), nodes_.end(), nullptr) != nodes_.end()) return std::nullopt;
    for (const FlatNode* node : nodes_) {
      if (node->outputs.size() != 1 || !take(*node)) return std::nullopt;
    }
    if (product_ == nullptr || !views_fit()) return std::nullopt;
    return make_node("linear.default", {{"input", x_}, {"weight", weight_}, {"bias", bias_}},
                     result_);
  }

 private:
  bool take(const FlatNode& node) {
    const bool is_transpose = is_op(node, "permute.default") || is_op(node, "t.default");
    if (is_transpose && weight_.kind == Kind::kNone) return take_transpose(node);
    if (is_op(node, "view.default")) return take_view(node);
    if (product_ != nullptr) return false;
    if (is_op(node, "mm.default")) return take_product(node, "self", "mat2");
    if (!is_op(node, "addmm.default") || node.inputs.size() != 3) return false;
    bias_ = input_of(node, "self");
    return take_product(node, "mat1", "mat2");
  }

  bool take_transpose(const FlatNode& node) {
    weight_ = input_of(node, "self");
    transposed_ = node.outputs[0].text;
    const Value dims = input_of(node, "dims");
    return is_op(node, "t.default") ||
           (dims.items.size() == 2 && dims.items[0].integer == 1 && dims.items[1].integer == 0);
  }

  /// Before the product a view of the input, after it one of the product.
  bool take_view(const FlatNode& node) {
    const Value& viewed = input_of(node, "self");
    if (product_ == nullptr) {
      if (flat_.kind != Kind::kNone) return false;
      x_ = viewed;
      flat_ = node.outputs[0];
      return true;
    }
    if (viewed.text != product_->outputs[0].text || result_.text != viewed.text) return false;
    result_ = node.outputs[0];
    return true;
  }

  bool take_product(const FlatNode& node, const char* left, const char* right) {
    product_ = &node;
    const Value x = input_of(node, left);
    if (flat_.kind == Kind::kNone) {
      x_ = x;
    } else if (x.text != flat_.text) {
      return false;
    }
    result_ = node.outputs[0];
    return !transposed_.empty() && input_of(node, right).text == transposed_;
  }

  bool views_fit() const {
    const bool is_viewed = flat_.kind != Kind::kNone;
    const bool is_viewed_back = result_.text != product_->outputs[0].text;
    if (!is_viewed && !is_viewed_back) return true;
    return is_viewed && is_viewed_back &&
           same_last(context_.tensor(x_.text), context_.tensor(flat_.text)) &&
           same_last(context_.tensor(result_.text), context_.tensor(product_->outputs[0].text)) &&
           same_but_last(context_.tensor(x_.text), context_.tensor(result_.text));
  }

  const LeafContext& context_;
  std::vector<const FlatNode*> nodes_;
  const FlatNode* product_ = nullptr;
  Value x_;
  Value flat_;  // the input as a matrix, if it is viewed as one
  Value weight_;
  std::string transposed_;
  Value bias_;
  Value result_;
};

}  // namespace

std::optional<FlatNode> recompose(const Call& call, const LeafContext& context) {
  if (call.items.size() == 1 && call.items[0].node != nullptr) return from_one(*call.items[0].node);
  return LinearMatch(call, context).match();
}

}  // namespace lathe::frontends::torch_export
