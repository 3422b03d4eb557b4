#include "frontends/generic_tree.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "frontends/huggingface/expert_weights.h"

namespace lathe::frontends {
namespace {

constexpr size_t kDeepest = 64;
// NamedList searches one by one: a file whose names make it quadratic is refused. Models have some
// hundred.
constexpr size_t kWidest = 1 << 14;

/// Embeddings whose names do not say so.
constexpr std::array<std::string_view, 5> kEmbeddingNames = {
    "wte", "wpe", "shared", "relative_attention_bias", "class_token"};

std::vector<std::string_view> split_name(std::string_view name, const std::string& source_name) {
  std::vector<std::string_view> parts;
  std::string_view rest = name;
  while (true) {
    const size_t dot = rest.find('.');
    parts.push_back(rest.substr(0, dot));
    if (parts.back().empty() || parts.size() > kDeepest) {
      throw_data("{}: a tensor's name must have 1 to {} non-empty parts between dots, found \"{}\"",
                 source_name, kDeepest, name.substr(0, 200));
    }
    if (dot == std::string_view::npos) return parts;
    rest.remove_prefix(dot + 1);
  }
}

/// A table that is looked up: nothing is multiplied by it.
bool says_embedding(std::string_view name) {
  return name.find("embed") != std::string_view::npos ||
         std::find(kEmbeddingNames.begin(), kEmbeddingNames.end(), name) != kEmbeddingNames.end();
}

/// What can be quantized; float64 and empty matrices cannot.
bool is_matrix(const ir::Parameter& parameter) {
  const std::vector<int64_t>& shape = parameter.shape();
  return shape.size() == 2 && shape[0] > 0 && shape[1] > 0 && is_plain_float(parameter.dtype()) &&
         parameter.dtype() != at::kDouble;
}

struct FusedExperts {
  std::string path;
  int64_t count;
  int64_t size;
  int64_t hidden_size;
};
constexpr int64_t kMostExperts = 1 << 13;

/// Finds modules by path in constant time while the tree grows.
class TreeBuilder {
 public:
  explicit TreeBuilder(const GenericTreeOptions& options) : options_(options) {
    modules_.emplace("", ir::make_module("Parameters"));
  }

  void add(const std::string& name, ir::ParameterPtr parameter) {
    const std::vector<std::string_view> parts = split_name(name, options_.source_name);
    ir::Module* owner = modules_.at("").get();
    std::string path;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      path = ir::join_path(path, parts[i]);
      owner = child(*owner, path, parts[i]);
    }
    if (parts.back() == "weight" && parts.size() > 1 && is_matrix(*parameter)) {
      owner->type = type_of(parts[parts.size() - 2]);
    }
    check_width(owner->parameters.size(), path);
    owner->parameters.set(parts.back(), std::move(parameter));
  }

  ir::ModulePtr root() const { return modules_.at(""); }

 private:
  ir::Module* child(ir::Module& parent, const std::string& path, std::string_view name) {
    ir::ModulePtr& module = modules_[path];
    if (!module) {
      check_width(parent.children.size(), path);
      module = ir::make_module("Parameters");
      parent.add_child(name, module);
    }
    return module.get();
  }

  const char* type_of(std::string_view name) const {
    if (options_.conv1d_weights && is_conv1d_name(name)) return "Conv1D";
    return says_embedding(name) ? "Embedding" : "Linear";
  }

  void check_width(size_t members, const std::string& path) const {
    if (members >= kWidest) {
      throw_data("{}: {} lies among more than {} names", options_.source_name, path, kWidest);
    }
  }

  const GenericTreeOptions& options_;
  std::unordered_map<std::string, ir::ModulePtr> modules_;
};

}  // namespace

bool is_conv1d_name(std::string_view path) {
  const size_t dot = path.rfind('.');
  const std::string_view name = dot == path.npos ? path : path.substr(dot + 1);
  return name == "c_attn" || name == "c_fc" || name == "c_proj" || name == "q_attn";
}

namespace {

/// Paths of modules whose tensors gate_up_proj [E, 2 N, K] and down_proj [E, K, N] hold experts, as
/// their shapes say.
std::vector<FusedExperts> find_fused_experts(const TensorStore& store) {
  constexpr std::string_view kGateUp = ".gate_up_proj";
  std::vector<FusedExperts> found;
  for (const StoredTensor* both : store.tensors()) {
    if (!both->name.ends_with(kGateUp) || !is_plain_float(both->dtype)) continue;
    const std::string path = both->name.substr(0, both->name.size() - kGateUp.size());
    const StoredTensor* down = store.find(path + ".down_proj");
    if (down == nullptr || !is_plain_float(down->dtype)) continue;
    const std::vector<int64_t>&outer = both->shape, &inner = down->shape;
    if (outer.size() != 3 || inner.size() != 3 || outer[0] != inner[0] || outer[0] == 0) continue;
    if (outer[0] <= kMostExperts && outer[1] == 2 * inner[2] && outer[2] == inner[1])
      found.push_back({path, outer[0], inner[2], outer[2]});
  }
  return found;
}

}  // namespace

ir::ModulePtr build_generic_tree(TensorStore& store, const GenericTreeOptions& options) {
  for (const FusedExperts& fused : find_fused_experts(store)) {
    ExpertsConfig experts{.num_experts = fused.count, .size = fused.size};
    split_fused_experts(fused.path, experts, fused.hidden_size, store);
  }
  TreeBuilder tree(options);
  for (const StoredTensor* tensor : store.tensors()) {
    const bool converts = options.dtype && is_plain_float(tensor->dtype);
    tree.add(tensor->name, make_parameter(*tensor, converts ? *options.dtype : tensor->dtype));
    store.mark_used(*tensor, tensor->name);
  }
  return tree.root();
}

}  // namespace lathe::frontends
