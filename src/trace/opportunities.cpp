#include "trace/opportunities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <unordered_set>

#include "trace/operator_classes.h"

namespace lathe::trace {
namespace {

using ir::NodeKind;

bool is_linear_type(std::string_view type) {
  return type == "Linear" || type == "Conv1D" || type == "QuantLinear" || type == "Float32Linear";
}
bool is_convolution_type(std::string_view type) {
  return type.starts_with("Conv") && type.ends_with("d");
}
bool is_channel_norm(std::string_view type) {
  return type.starts_with("BatchNorm") || type == "SyncBatchNorm";
}
bool is_feature_norm(std::string_view type) { return type == "RMSNorm" || type == "LayerNorm"; }

std::string_view callee_type(const FlatNode& node) {
  return node.kind == NodeKind::kCallModule ? std::string_view(node.callee->type)
                                            : std::string_view();
}

bool is_relu(const FlatGraph& graph, const FlatNode& node) {
  return callee_type(node) == "ReLU" || operator_name(graph.op(node)) == "relu";
}

bool is_attention(const FlatGraph& graph, const FlatNode& node) {
  const std::string& op = graph.op(node);
  return op == "lathe::attention" || operator_name(op) == "scaled_dot_product_attention";
}

class FusionFinder {
 public:
  explicit FusionFinder(const FlatGraph& graph) : graph_(graph), readers_(readers_of(graph)) {
    for (ValueId id = 0; id < graph.nodes().size(); ++id) {
      if (graph.node(id).kind == NodeKind::kCallModule) calls_[graph.path(graph.node(id))] = id;
    }
  }

  std::vector<Opportunity> find(const std::vector<SharingGroup>& sharing) {
    for (ValueId id = 0; id < graph_.nodes().size(); ++id) find_pair(id);
    for (const SharingGroup& group : sharing) {
      if (group.alone && is_feature_norm(group.producer_type)) add_folding(group);
      if (group.readers.size() > 1) add_parallel(group);
    }
    return std::move(found_);
  }

 private:
  /// The node that alone reads a value, or null.
  const FlatNode* only_reader(ValueId id) const {
    return readers_[id].size() == 1 ? &graph_.node(readers_[id][0]) : nullptr;
  }

  void find_pair(ValueId id) {
    const FlatNode& node = graph_.node(id);
    const std::string_view type = callee_type(node);
    const bool conv = is_convolution_type(type);
    if (!conv && !is_channel_norm(type)) return;
    const FlatNode* next = only_reader(id);
    if (next == nullptr) return;
    if (conv && is_channel_norm(callee_type(*next)))
      found_.push_back({"conv-bn", {graph_.path(node), graph_.path(*next)}, {}});
    if (is_relu(graph_, *next)) {
      std::vector<std::string> modules = {graph_.path(node)};
      if (next->kind == NodeKind::kCallModule) modules.push_back(graph_.path(*next));
      found_.push_back({conv ? "conv-relu" : "bn-relu", std::move(modules), {}});
    }
  }

  void add_folding(const SharingGroup& group) {
    std::vector<std::string> modules = {group.producer};
    modules.insert(modules.end(), group.readers.begin(), group.readers.end());
    found_.push_back({"norm-linear", std::move(modules), {}});
  }

  /// Linears of one value: what becomes of their values says what they are.
  void add_parallel(const SharingGroup& group) {
    std::map<ValueId, size_t> reached;  // attention or product: how many of the linears reach it
    for (const std::string& reader : group.readers) {
      const auto call = calls_.find(reader);
      if (call == calls_.end()) continue;
      for (const ValueId end : ends_of(call->second)) ++reached[end];
    }
    std::string kind = "parallel";
    for (const auto& [id, count] : reached) {
      const bool attention = is_attention(graph_, graph_.node(id));
      if (attention && count > 1) kind = "qkv";
      if (!attention && count > 1 && kind == "parallel") kind = "gate-up";
    }
    found_.push_back({std::move(kind), group.readers, {}});
  }

  /// The attentions and the products of two values that a value comes to without another linear in
  /// between.
  std::vector<ValueId> ends_of(ValueId id) const {
    constexpr size_t kFarthest = 64;
    std::vector<ValueId> open = {id};
    std::unordered_set<ValueId> seen = {id};
    std::vector<ValueId> ends;
    for (size_t next = 0; next < open.size() && next < kFarthest; ++next) {
      for (const ValueId reader : readers_[open[next]]) {
        const FlatNode& node = graph_.node(reader);
        const bool stops = node.kind == NodeKind::kOutput || is_linear_type(callee_type(node));
        if (stops || !seen.insert(reader).second) continue;
        const bool is_product = operator_name(graph_.op(node)) == "mul" && node.inputs.size() == 2;
        if (is_attention(graph_, node) || is_product) ends.push_back(reader);
        if (!is_attention(graph_, node)) open.push_back(reader);
      }
    }
    return ends;
  }

  const FlatGraph& graph_;
  std::vector<std::vector<ValueId>> readers_;
  std::unordered_map<std::string, ValueId> calls_;
  std::vector<Opportunity> found_;
};

/// The size that blocks of a weight lie along.
int64_t contracted_size(const ir::Module& module) {
  const std::vector<int64_t>& shape = (*module.parameters.find("weight"))->shape();
  if (module.type == "Conv1D") return shape[0];
  int64_t size = 1;
  for (size_t dim = 1; dim < shape.size(); ++dim) size *= shape[dim];
  return size;
}

std::vector<std::string> block_obstacles(int64_t size) {
  std::vector<std::string> obstacles;
  for (const int64_t block : {16, 32, 64, 128}) {
    if (size % block == 0) continue;
    obstacles.push_back(
        fmt::format("K = {} is not divisible by blocks of {} or more", size, block));
    break;
  }
  return obstacles;
}

}  // namespace

bool has_product(const ir::Module& module) {
  return is_linear_type(module.type) || is_convolution_type(module.type);
}

std::vector<Opportunity> find_fusions(const FlatGraph& graph,
                                      const std::vector<SharingGroup>& sharing) {
  return FusionFinder(graph).find(sharing);
}

std::vector<Opportunity> find_quantizable(const ir::Module& model,
                                          const std::function<bool(const ir::Module&)>& is_called) {
  std::map<std::vector<std::string>, Opportunity> by_obstacles;
  std::map<const ir::Parameter*, std::string> owners;
  for (const auto& [path, module] : ir::named_modules(model)) {
    const ir::ParameterPtr* weight = module->parameters.find("weight");
    if (weight == nullptr || (*weight)->shape().size() < 2) continue;
    const auto [owner, is_first] = owners.try_emplace(weight->get(), path);
    if (!has_product(*module)) continue;
    std::vector<std::string> obstacles = block_obstacles(contracted_size(*module));
    if (!is_first) obstacles.push_back(fmt::format("its weight is also that of {}", owner->second));
    if (!is_called(*module)) obstacles.emplace_back("nothing calls it");
    Opportunity& kind = by_obstacles[obstacles];
    kind.kind = "quantize";
    kind.obstacles = obstacles;
    kind.modules.push_back(path);
  }
  std::vector<Opportunity> found;
  for (auto& [obstacles, opportunity] : by_obstacles) found.push_back(std::move(opportunity));
  return found;
}

}  // namespace lathe::trace
