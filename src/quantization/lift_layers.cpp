#include "quantization/lift_layers.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "ops/operator_leaves.h"
#include "quantization/parameter_rows.h"
#include "quantization/transposed_linears.h"

namespace lathe::quantization {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

constexpr auto kTypes =
    std::to_array<std::string_view>({"Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
                                     "ConvTranspose2d", "ConvTranspose3d"});

/// An operator that may be a layer, and what a layer calls its arguments.
struct LayerOperator {
  std::string_view op;
  std::string_view type;
  std::string_view input = "input";
  std::string_view weight = "weight";
  std::string_view bias = "bias";
};

/// Products of matrices: layers if the second matrix is a parameter.
constexpr std::array kProducts = {
    LayerOperator{"aten::addmm", kTransposedLinear, "mat1", "mat2", "self"},
    LayerOperator{"aten::mm", kTransposedLinear, "self", "mat2", ""},
    LayerOperator{"aten::matmul", kTransposedLinear, "self", "other", ""},
};

std::optional<LayerOperator> layer_operator(const std::string& op) {
  for (const LayerOperator& product : kProducts) {
    if (product.op == op) return product;
  }
  for (const ops::OperatorLeaf& leaf : ops::operator_leaves()) {
    if (leaf.op == op && std::find(kTypes.begin(), kTypes.end(), leaf.type) != kTypes.end())
      return LayerOperator{.op = leaf.op, .type = leaf.type};
  }
  return std::nullopt;
}

std::vector<std::string> argument_names(const std::string& op) {
  const size_t dot = std::min(op.find('.'), op.size());
  const std::string overload = dot == op.size() ? "" : op.substr(dot + 1);
  const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow(op.substr(0, dot).c_str(), overload.c_str());
  std::vector<std::string> names;
  for (const c10::Argument& formal : handle.schema().arguments()) names.push_back(formal.name());
  return names;
}

/// A constant as an attribute; nothing for what attributes do not hold.
std::optional<ir::Attribute> to_attribute(const Argument& argument) {
  const auto& value = argument.value();
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  const auto* list = std::get_if<Argument::List>(&value);
  if (list == nullptr) return std::nullopt;
  std::vector<int64_t> items;
  for (const Argument& item : *list) {
    const auto* integer = std::get_if<int64_t>(&item.value());
    if (integer == nullptr) return std::nullopt;
    items.push_back(*integer);
  }
  return items;
}

/// An operator as a layer.
struct Layer {
  std::string type;
  const Node* input = nullptr;
  ParameterRows weight;
  std::optional<ParameterRows> bias;
  ir::NamedList<ir::Attribute> attributes;
};

/// Takes the operators of one module's graph apart.
class GraphLifter {
 public:
  GraphLifter(std::string path, ir::Module& module, Lifting& result)
      : path_(std::move(path)), module_(module), result_(result) {}

  void lift() {
    const auto& nodes = module_.graph->nodes();
    if (std::none_of(nodes.begin(), nodes.end(), [&](const auto& node) { return is_layer(*node); }))
      return;
    ir::Graph graph = module_.graph->clone();
    std::vector<const Node*> layers;
    for (const auto& node : graph.nodes()) {
      if (is_layer(*node)) layers.push_back(node.get());
    }
    bool changed = false;
    for (const Node* node : layers) changed |= lift_node(graph, node);
    if (changed) module_.graph = std::make_shared<const ir::Graph>(std::move(graph));
  }

 private:
  bool is_layer(const Node& node) const {
    if (node.kind != NodeKind::kCallOp) return false;
    const auto op = layer_operator(node.target);
    return op && (op->type != kTransposedLinear || is_product_with_parameter(node));
  }

  /// x W, or b + x W with a row b: whatever else is multiplied is no layer.
  bool is_product_with_parameter(const Node& node) const {
    const bool has_bias = node.target == "aten::addmm";
    if (node.args.size() != (has_bias ? 3u : 2u) || !node.kwargs.empty()) return false;
    const ir::ParameterPtr weight = parameter(node.args.back());
    if (weight == nullptr || weight->shape().size() != 2) return false;
    if (!has_bias) return true;
    const ir::ParameterPtr bias = parameter(node.args[0]);
    return bias != nullptr && bias->shape() == std::vector<int64_t>{weight->shape()[1]};
  }

  ir::ParameterPtr parameter(const Argument& argument) const {
    const Node* node = argument.node();
    const bool is_read = node != nullptr && node->kind == NodeKind::kGetAttr;
    return is_read ? module_.find_parameter(node->target) : nullptr;
  }

  bool lift_node(ir::Graph& graph, const Node* node) {
    std::string reason;
    const auto layer = read(*node, reason);
    if (!layer) {
      result_.left.push_back({path_, fmt::format("{} ({}): {}", node->target, node->name, reason)});
      return false;
    }
    const std::string name = place(*layer);
    add_result(*node, *layer, ir::join_path(path_, name));
    std::vector<const Node*> read;
    node->for_each_input([&](const Node* input) { read.push_back(input); });
    const Node* call =
        graph.insert_after(node, {NodeKind::kCallModule, {}, name, {Argument(layer->input)}, {}});
    graph.replace_uses(node, call);
    graph.erase(node);
    for (const Node* input : read) {
      if (parameter_rows(module_, Argument(input))) erase_unused(graph, input);
    }
    return true;
  }

  /// A parameter, or what was cut off one, that nobody reads any more; and what it was cut from.
  static void erase_unused(ir::Graph& graph, const Node* node) {
    while (node != nullptr && graph.users(node).empty()) {
      const Node* source = node->args.empty() ? nullptr : node->args[0].node();
      graph.erase(node);
      node = source;
    }
  }

  void add_result(const Node& node, const Layer& layer, const std::string& path) {
    LiftedLayer lifted{path_, node.name, path, std::string(layer_operator(node.target)->input)};
    if (is_part(layer.weight)) {
      lifted.whole_weight = module_.find_parameter(layer.weight.path);
      lifted.first_row = layer.weight.first;
    }
    lifted.has_part_of_bias = layer.bias && is_part(*layer.bias);
    result_.layers.push_back(std::move(lifted));
  }

  bool is_part(const ParameterRows& rows) const {
    const ir::ParameterPtr whole = module_.find_parameter(rows.path);
    return !whole->shape().empty() && rows.count != whole->shape()[0];
  }

  std::optional<Layer> read(const Node& node, std::string& reason) const {
    const LayerOperator op = *layer_operator(node.target);
    Layer layer{.type = std::string(op.type)};
    const auto names = argument_names(node.target);
    std::vector<std::pair<std::string, Argument>> arguments = node.kwargs;
    for (size_t i = 0; i < node.args.size(); ++i) arguments.emplace_back(names[i], node.args[i]);
    for (const auto& [name, argument] : arguments) {
      if (!take(op, name, argument, layer, reason)) return std::nullopt;
    }
    return layer;
  }

  bool take(const LayerOperator& op, const std::string& name, const Argument& argument,
            Layer& layer, std::string& reason) const {
    const Node* node = argument.node();
    if (name == op.input) {
      layer.input = node;
      return true;
    }
    if (argument.is_none()) return true;
    if (name == op.weight || name == op.bias) {
      const auto rows = parameter_rows(module_, argument);
      // Of a convolution's or a transposed weight, rows are not output channels alone.
      const bool is_parameter = rows && (layer.type == "Linear" || !is_part(*rows));
      if (is_parameter && name == op.weight) layer.weight = *rows;
      if (is_parameter && name == op.bias) layer.bias = *rows;
      if (!is_parameter) {
        reason = node != nullptr && node->kind == NodeKind::kPlaceholder
                     ? fmt::format("its {} belongs to a module outside", name)
                     : fmt::format("its {} is computed", name);
      }
      return is_parameter;
    }
    const auto attribute = to_attribute(argument);
    if (attribute) layer.attributes.set(name, *attribute);
    if (!attribute) reason = fmt::format("its {} is computed", name);
    return attribute.has_value();
  }

  /// The path of the leaf below the module: an existing one, or a new child.
  std::string place(const Layer& layer) {
    const ir::ParameterPtr weight = take_rows(module_, layer.weight);
    const ir::ParameterPtr bias = layer.bias ? take_rows(module_, *layer.bias) : nullptr;
    for (const auto& [path, known] : placed_) {
      const bool same = known.type == layer.type && known.weight == layer.weight &&
                        known.bias == layer.bias && same_attributes(known, layer);
      if (same) return path;
    }
    std::string path = owner_of(layer);
    if (path.empty()) {
      path = free_name(layer);
      module_.add_child(path, ir::make_module(layer.type));
    }
    ir::Module& leaf = module_.at(path);
    leaf.type = layer.type;
    leaf.attributes = layer.attributes;
    leaf.parameters.set("weight", weight);
    if (bias) leaf.parameters.set("bias", bias);
    placed_.emplace_back(path, layer);
    return path;
  }

  static bool same_attributes(const Layer& a, const Layer& b) {
    return std::equal(a.attributes.begin(), a.attributes.end(), b.attributes.begin(),
                      b.attributes.end());
  }

  /// The module below that holds the layer's weight and bias, nothing else, and is never called:
  /// such modules have no type.
  std::string owner_of(const Layer& layer) const {
    const std::string& weight = layer.weight.path;
    if (!weight.ends_with(".weight") || is_part(layer.weight)) return {};
    std::string path = weight.substr(0, weight.rfind('.'));
    const ir::Module* owner = module_.find(path);
    const bool is_bare = owner != nullptr && owner->type == "Module" && !owner->is_composite() &&
                         owner->children.empty() && owner->buffers.empty() &&
                         owner->parameters.size() == (layer.bias ? 2u : 1u) &&
                         (!layer.bias || layer.bias->path == path + ".bias");
    return is_bare ? path : std::string();
  }

  /// "in_proj" for "in_proj_weight"; with a number if that is taken.
  std::string free_name(const Layer& layer) const {
    std::string stem = layer.weight.path;
    std::replace(stem.begin(), stem.end(), '.', '_');
    if (stem.ends_with("weight")) stem.erase(stem.size() - std::string_view("weight").size());
    while (stem.ends_with('_')) stem.pop_back();
    if (stem.empty()) stem = "layer";
    std::string name = stem;
    const auto taken = [&] {
      return module_.children.find(name) || module_.parameters.find(name) ||
             module_.buffers.find(name);
    };
    for (int number = 1; taken(); ++number) name = fmt::format("{}_{}", stem, number);
    return name;
  }

  std::string path_;
  ir::Module& module_;
  Lifting& result_;
  std::vector<std::pair<std::string, Layer>> placed_;
};

}  // namespace

Lifting lift_layers(ir::Module& root) {
  Lifting result;
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (module->is_composite()) GraphLifter(path, *module, result).lift();
  }
  return result;
}

}  // namespace lathe::quantization
