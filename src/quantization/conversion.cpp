#include "quantization/conversion.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "ops/operator_leaves.h"
#include "quantization/expert_inputs.h"
#include "quantization/reserved_layers.h"
#include "quantization/transposed_linears.h"
#include "trace/shared_inputs.h"

namespace lathe::quantization {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

constexpr std::array kRules = {
    ConversionRule{"Linear", "QuantLinear", true},
    ConversionRule{"Embedding", "QuantEmbedding", false},
    ConversionRule{kTransposedLinear, "QuantConv1D", true, 1},  // a linear whose weight is [K, N]
    ConversionRule{"Conv1d", "QuantConv1d", true, 0},
    ConversionRule{"Conv2d", "QuantConv2d", true, 0},
    ConversionRule{"Conv3d", "QuantConv3d", true, 0},
    ConversionRule{"ConvTranspose1d", "QuantConvTranspose1d", true, 1},
    ConversionRule{"ConvTranspose2d", "QuantConvTranspose2d", true, 1},
    ConversionRule{"ConvTranspose3d", "QuantConvTranspose3d", true, 1},
};

/// Operators of attention, whose first three arguments are query, key and value.
constexpr std::array<std::string_view, 3> kAttentionOperators = {
    "lathe::attention", "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu"};
constexpr std::array<std::string_view, 3> kAttentionQuantizers = {
    "q_bmm_quantizer", "k_bmm_quantizer", "v_bmm_quantizer"};

constexpr std::string_view kWeightQuantizer = "weight_quantizer";

const ConversionRule* rule_for(const ir::Module& module, LayerKinds kinds) {
  const ir::ParameterPtr* weight = module.parameters.find("weight");
  if (weight == nullptr || module.is_composite() || module.has_attribute("failed")) return nullptr;
  for (const ConversionRule& rule : kRules) {
    if (module.type != rule.leaf_type) continue;
    if (!rule.channel_axis) return &rule;
    const size_t rank = (*weight)->shape().size();
    const bool is_whole = rule.leaf_type == kTransposedLinear ? rank == 2 : rank > 2;
    return is_whole && kinds == LayerKinds::kWithConvolutions ? &rule : nullptr;
  }
  return nullptr;
}

ir::GraphPtr linear_graph(bool has_bias) {
  ir::GraphBuilder graph;
  Node* x = graph.call_module("input_quantizer", {graph.placeholder("input")});
  Node* weight = graph.call_module("weight_quantizer", {graph.get_attr("weight")});
  const Argument bias = has_bias ? Argument(graph.get_attr("bias")) : Argument();
  Node* y = graph.call_op("aten::linear", {x, weight, bias});
  graph.output(graph.call_module("output_quantizer", {y}));
  return graph.build();
}

ir::GraphPtr embedding_graph() {
  ir::GraphBuilder graph;
  Node* ids = graph.placeholder("input");
  Node* weight = graph.call_module("weight_quantizer", {graph.get_attr("weight")});
  Node* y = graph.call_op("aten::embedding", {weight, ids});
  graph.output(graph.call_module("output_quantizer", {y}));
  return graph.build();
}

/// A convolution with its attributes as arguments, or a linear whose weight is [K, N].
ir::GraphPtr channel_axis_graph(const ir::Module& leaf) {
  ir::GraphBuilder graph;
  Node* x = graph.call_module("input_quantizer", {graph.placeholder("input")});
  Node* weight = graph.call_module("weight_quantizer", {graph.get_attr("weight")});
  const bool has_bias = leaf.parameters.find("bias") != nullptr;
  const Argument bias = has_bias ? Argument(graph.get_attr("bias")) : Argument();
  Node* y = leaf.type == kTransposedLinear
                ? graph.call_op("aten::linear", {x, graph.call_op("aten::t", {weight}), bias})
                : graph.call_op(std::string(ops::operator_of(leaf)), {x, weight, bias},
                                ops::operator_arguments(leaf));
  graph.output(graph.call_module("output_quantizer", {y}));
  return graph.build();
}

/// What attention becomes where its probabilities are quantized.
struct SplitAttention {
  std::string_view whole;
  std::string_view probabilities;  // takes all that `whole` takes, without the value
};
constexpr std::array kSplitAttentions = {
    SplitAttention{"lathe::attention", "lathe::attention_probabilities"},
    SplitAttention{"aten::scaled_dot_product_attention", "lathe::sdpa_probabilities"},
};
constexpr std::string_view kAttentionValues = "lathe::attention_values";
constexpr std::string_view kProbabilityQuantizer = "p_bmm_quantizer";

/// The rows of activations are tokens: another number of them in each batch.
void refuse_static_blocks(const TensorQuantizer& quantizer) {
  const QuantizerFormat& format = quantizer.format();
  const bool computed = format.format.scale != formats::ScaleKind::kFloat32;
  const bool one_amax = !format.needs_amax() || format.amax_block() == formats::kPerTensor;
  if (one_amax && !(computed && format.static_blocks)) return;
  throw_user("{}: activations have one static scale a tensor, or dynamic ones, not {}",
             quantizer.name(), quantizer.describe());
}

class Converter {
 public:
  Converter(const ir::Module& root, const QuantizerResolver& resolver,
            std::vector<std::string>& problems, LayerKinds kinds)
      : runs_(root.is_composite()),
        resolver_(resolver),
        problems_(problems),
        kinds_(kinds),
        reserved_(root),
        linear_(linear_graph(false)),
        linear_bias_(linear_graph(true)),
        embedding_(embedding_graph()) {}

  void convert_leaf(const std::string& path, ir::Module& module, const ConversionRule& rule) {
    const std::string leaf_type = module.type;
    const ir::GraphPtr own = rule.channel_axis ? channel_axis_graph(module) : nullptr;
    QuantizedLayer layer{.path = path, .module = &module};
    if (rule.has_input_quantizer)
      layer.input = add_activation_quantizer(path, module, "input_quantizer", leaf_type);
    layer.weight = &add_quantizer(path, module, kWeightQuantizer, leaf_type);
    layer.output = add_activation_quantizer(path, module, "output_quantizer", leaf_type);
    if (rule.channel_axis) {
      layer.weight->set_channel_axis(*rule.channel_axis);
      leave_blocks_alone(layer);
    }
    bound_for_fp8(layer);
    module.type = std::string(rule.composite_type);
    result_.layers.push_back(layer);
    if (!runs_) return;
    const bool has_bias = module.parameters.find("bias") != nullptr;
    const ir::GraphPtr linear = has_bias ? linear_bias_ : linear_;
    module.graph = rule.channel_axis ? own : rule.has_input_quantizer ? linear : embedding_;
  }

  void convert_attention(const std::string& path, ir::Module& module) {
    const auto& nodes = module.graph->nodes();
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [](const auto& node) { return is_attention(*node); });
    if (found == nodes.end()) return;
    QuantizedAttention attention{.path = path};
    attention.key_producer = producer(path, module, **found, 1);
    attention.value_producer = producer(path, module, **found, 2);
    attention.query = &add_quantizer(path, module, kAttentionQuantizers[0], module.type);
    attention.key = &add_quantizer(path, module, kAttentionQuantizers[1], module.type);
    attention.value = &add_quantizer(path, module, kAttentionQuantizers[2], module.type);
    if (wants_probabilities(path, module))
      attention.probabilities = &add_quantizer(path, module, kProbabilityQuantizer, module.type);
    module.graph = with_attention_quantizers(module.graph, attention.probabilities != nullptr);
    result_.attentions.push_back(attention);
  }

  Conversion take() { return std::move(result_); }

 private:
  /// Blocks are of matrices: of a kernel's positions they make no sense, and groups of a program's
  /// weight run along its last dimension.
  void leave_blocks_alone(const QuantizedLayer& layer) {
    if (!layer.weight->enabled()) return;
    const formats::BlockShape block = layer.weight->format().format.block;
    if (block == formats::kPerTensor || block == formats::kPerChannel) return;
    result_.left_alone.push_back(
        {layer.path, fmt::format("{}: convolutions, and linears whose weight is [K, N], have "
                                 "scales by tensor or channel",
                                 layer.weight->describe())});
    for (TensorQuantizer* quantizer : {layer.input, layer.weight, layer.output})
      quantizer->set_enabled(false);
  }

  std::string producer(const std::string& path, const ir::Module& module, const Node& attention,
                       size_t index) const {
    const Node* value = attention.args[index].node();
    const auto wanted = [this](const ir::Module& callee) {
      return rule_for(callee, kinds_) != nullptr;
    };
    const std::string name = value ? trace::producer_of(module, *value, wanted) : "";
    return name.empty() ? "" : ir::join_path(path, name);
  }

  TensorQuantizer& add_quantizer(const std::string& path, ir::Module& module, std::string_view name,
                                 const std::string& parent_class) {
    const std::string full_name = ir::join_path(path, name);
    return add_resolved(full_name, module, name, resolver_.resolve(full_name, parent_class));
  }

  /// Models of hundreds of thousands of layers have no graph: quantizers that do nothing are left
  /// out there.
  TensorQuantizer* add_activation_quantizer(const std::string& path, ir::Module& module,
                                            std::string_view name,
                                            const std::string& parent_class) {
    const std::string full_name = ir::join_path(path, name);
    const ResolvedQuantizer resolved = resolver_.resolve(full_name, parent_class);
    const auto rotates = [](const QuantizerAttributes& stage) { return stage.rotate.enable; };
    const bool is_idle = !resolved.enabled && std::ranges::none_of(*resolved.stages, rotates);
    return !runs_ && is_idle ? nullptr : &add_resolved(full_name, module, name, resolved);
  }

  TensorQuantizer& add_resolved(const std::string& full_name, ir::Module& module,
                                std::string_view name, const ResolvedQuantizer& resolved) {
    const bool enabled =
        resolved.enabled && (resolved.module_is_named || !reserved_.contains(module));
    const auto role = name == kWeightQuantizer ? TensorQuantizer::Role::kWeight
                                               : TensorQuantizer::Role::kActivation;
    auto quantizer = std::make_shared<TensorQuantizer>(full_name, false, resolved.stages, role);
    try {
      quantizer->set_enabled(enabled);
      if (enabled && name != kWeightQuantizer) refuse_static_blocks(*quantizer);
    } catch (const UserError& error) {
      quantizer->set_enabled(false);
      problems_.push_back(error.what());
    }
    if (!runs_ && name == kWeightQuantizer) {
      module.state = quantizer;  // of the layer itself: a module more for each layer adds up
      return *quantizer;
    }
    // A checkpoint of quantized training has tensors in modules of these names: they stay.
    if (module.children.find(name) == nullptr) module.add_child(name, ir::make_module(""));
    ir::Module& child = module.at(name);
    child.type = "TensorQuantizer";
    child.state = quantizer;
    return *quantizer;
  }

  /// Kernels turn NVFP4 weights into FP8 where inputs are FP8: none may be above 448 then.
  static void bound_for_fp8(const QuantizedLayer& layer) {
    if (layer.input == nullptr || !layer.input->enabled() || !layer.weight->enabled()) return;
    const formats::Format& weight = layer.weight->format().format;
    const formats::Format& input = layer.input->format().format;
    const bool fp8 = input.element == formats::kE4M3 && input.scale == formats::ScaleKind::kFloat32;
    const bool nvfp4 = weight.scale == formats::ScaleKind::kE4M3TwoLevel;
    if (fp8 && nvfp4 && !weight.four_over_six())
      layer.weight->set_scale_bound(formats::kFp8ProductBound);
  }

  bool wants_probabilities(const std::string& path, const ir::Module& module) const {
    const std::string name = ir::join_path(path, kProbabilityQuantizer);
    const ResolvedQuantizer resolved = resolver_.resolve(name, module.type);
    const bool is_wanted = resolved.enabled && resolved.entry.has_value();
    if (is_wanted && kinds_ == LayerKinds::kWithConvolutions) {
      problems_.push_back(fmt::format(
          "{}: attention is one operator of a program, and its probabilities are no value of it; "
          "leave this quantizer off",
          name));
      return false;
    }
    return is_wanted;
  }

  /// Layers that share a graph share its rewrite.
  ir::GraphPtr with_attention_quantizers(const ir::GraphPtr& original, bool split) {
    ir::GraphPtr& rewritten = rewritten_[{original.get(), split}];
    if (rewritten) return rewritten;
    originals_.push_back(original);
    ir::Graph graph = original->clone();
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      Node* node = graph.nodes()[i].get();
      if (!is_attention(*node)) continue;
      for (size_t index = 0; index < kAttentionQuantizers.size(); ++index) {
        const Argument value = node->args[index];
        node->args[index] = graph.insert_before(
            node,
            {NodeKind::kCallModule, {}, std::string(kAttentionQuantizers[index]), {value}, {}});
        ++i;
      }
      if (!split) continue;
      split_attention(graph, node);
      i += 2;
    }
    rewritten = std::make_shared<const ir::Graph>(std::move(graph));
    return rewritten;
  }

  /// `node` becomes the product of probabilities, quantized, and values.
  static void split_attention(ir::Graph& graph, Node* node) {
    const auto split = std::find_if(kSplitAttentions.begin(), kSplitAttentions.end(),
                                    [&](const auto& s) { return s.whole == node->target; });
    check_internal(split != kSplitAttentions.end(), "no way to take {} apart", node->target);
    std::vector<Argument> arguments = node->args;
    const Argument value = arguments[2];
    arguments.erase(arguments.begin() + 2);
    Node* probabilities = graph.insert_before(node, {NodeKind::kCallOp,
                                                     {},
                                                     std::string(split->probabilities),
                                                     std::move(arguments),
                                                     std::move(node->kwargs)});
    Node* quantized = graph.insert_before(
        node, {NodeKind::kCallModule, {}, std::string(kProbabilityQuantizer), {probabilities}, {}});
    node->target = std::string(kAttentionValues);
    node->args = {quantized, value};
    node->kwargs.clear();
  }

  bool runs_;  // whether the model has a graph
  const QuantizerResolver& resolver_;
  std::vector<std::string>& problems_;
  LayerKinds kinds_;
  ReservedLayers reserved_;
  ir::GraphPtr linear_, linear_bias_, embedding_;
  std::map<std::pair<const ir::Graph*, bool>, ir::GraphPtr> rewritten_;  // true: taken apart
  std::vector<ir::GraphPtr> originals_;  // keeps the keys of rewritten_ alive
  Conversion result_;
};

/// Groups by path as indices of layers; layers in no group become groups of one. A module that
/// several paths lead to is one layer.
std::vector<std::vector<size_t>> index_groups(const ir::Module& root,
                                              const std::vector<QuantizedLayer>& layers,
                                              const std::vector<std::vector<std::string>>& groups) {
  std::unordered_map<const ir::Module*, size_t> index;
  for (size_t i = 0; i < layers.size(); ++i) index[layers[i].module] = i;
  std::vector<std::vector<size_t>> result;
  std::vector<bool> grouped(layers.size(), false);
  for (const auto& group : groups) {
    std::vector<size_t> members;
    for (const std::string& path : group) {
      const auto found = index.find(root.find(path));
      if (found == index.end() || grouped[found->second]) continue;
      grouped[found->second] = true;
      members.push_back(found->second);
    }
    if (!members.empty()) result.push_back(std::move(members));
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!grouped[i]) result.push_back({i});
  }
  return result;
}

std::vector<std::vector<std::string>> traced_groups(const ir::Module& root, LayerKinds kinds) {
  std::vector<std::vector<std::string>> groups;
  const auto reads_a_value = [kinds](const ir::Module& module) {
    const ConversionRule* rule = rule_for(module, kinds);
    return rule != nullptr && rule->has_input_quantizer;
  };
  for (trace::SharedInput& shared : trace::shared_inputs(root, reads_a_value)) {
    groups.push_back(std::move(shared.readers));
  }
  return groups;
}

}  // namespace

std::vector<TensorQuantizer*> QuantizedAttention::quantizers() const {
  std::vector<TensorQuantizer*> all;
  for (TensorQuantizer* quantizer : {query, key, value, probabilities}) {
    if (quantizer != nullptr) all.push_back(quantizer);
  }
  return all;
}

std::vector<TensorQuantizer*> Conversion::quantizers() const {
  std::vector<TensorQuantizer*> all;
  for (const QuantizedLayer& layer : layers) {
    for (TensorQuantizer* quantizer : {layer.input, layer.weight, layer.output}) {
      if (quantizer != nullptr) all.push_back(quantizer);
    }
  }
  for (const QuantizedAttention& attention : attentions) {
    const std::vector<TensorQuantizer*> own = attention.quantizers();
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

const QuantizedLayer* Conversion::find(std::string_view path) const {
  for (const QuantizedLayer& layer : layers) {
    if (layer.path == path) return &layer;
  }
  return nullptr;
}

std::span<const ConversionRule> conversion_rules() { return kRules; }

bool is_attention(const Node& node) {
  return node.kind == NodeKind::kCallOp && node.args.size() >= 3 &&
         std::find(kAttentionOperators.begin(), kAttentionOperators.end(), node.target) !=
             kAttentionOperators.end();
}

Conversion convert(ir::Module& root, const QuantizerResolver& resolver,
                   const std::vector<std::vector<std::string>>& name_groups,
                   std::vector<std::string>& problems, LayerKinds kinds) {
  const auto groups = root.is_composite() ? traced_groups(root, kinds) : name_groups;
  Converter converter(root, resolver, problems, kinds);
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (const ConversionRule* rule = rule_for(*module, kinds)) {
      converter.convert_leaf(path, *module, *rule);
    } else if (module->is_composite()) {
      converter.convert_attention(path, *module);
    }
  }
  Conversion result = converter.take();
  result.groups = index_groups(root, result.layers, groups);
  if (root.is_composite()) result.expert_inputs = expert_input_groups(root, result.layers);
  return result;
}

ops::LeafTable leaf_table() {
  ops::LeafTable table = ops::LeafTable::builtin();
  table.add("TensorQuantizer",
            [](const ir::Module& module, std::span<const c10::IValue> arguments) {
              return c10::IValue(quantizer_of(module).forward(arguments[0].toTensor()));
            });
  return table;
}

}  // namespace lathe::quantization
