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

/// Embeddings whose names do not say so.
constexpr std::array<std::string_view, 5> kEmbeddingNames = {
    "wte", "wpe", "shared", "relative_attention_bias", "class_token"};

/// The part of a dotted name before the last dot, "" if there is none.
std::string_view parent_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

void check_name(std::string_view name, const std::string& source_name) {
  const auto parts = static_cast<size_t>(std::ranges::count(name, '.')) + 1;
  const bool has_empty = name.empty() || name.front() == '.' || name.back() == '.' ||
                         name.find("..") != std::string_view::npos;
  if (!has_empty && parts <= kDeepest) return;
  throw_data("{}: a tensor's name must have 1 to {} non-empty parts between dots, found \"{}\"",
             source_name, kDeepest, name.substr(0, 200));
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
  bool transposed;  // [E, K, 2 N] and [E, N, K]
};
constexpr int64_t kMostExperts = 1 << 13;

/// Finds modules by path in constant time while the tree grows.
class TreeBuilder {
 public:
  explicit TreeBuilder(const GenericTreeOptions& options)
      : options_(options), root_(ir::make_module("Parameters")) {
    modules_.emplace("", root_.get());
  }

  void add(std::string_view name, ir::ParameterPtr parameter) {
    check_name(name, options_.source_name);
    const std::string path(parent_of(name));
    ir::Module& owner = module_at(path);
    if (last_part(name) == "weight" && !path.empty() && is_matrix(*parameter)) {
      owner.type = type_of(last_part(path));
    }
    owner.parameters.set(last_part(name), std::move(parameter));
  }

  ir::ModulePtr root() const { return root_; }

 private:
  ir::Module& module_at(const std::string& path) {
    const auto found = modules_.find(path);
    if (found != modules_.end()) return *found->second;
    ir::Module& parent = module_at(std::string(parent_of(path)));
    ir::Module& added = parent.add_child(last_part(path), ir::make_module("Parameters"));
    modules_.emplace(path, &added);
    return added;
  }

  const char* type_of(std::string_view name) const {
    if (options_.conv1d_weights && is_conv1d_name(name)) return "Conv1D";
    return says_embedding(name) ? "Embedding" : "Linear";
  }

  const GenericTreeOptions& options_;
  ir::ModulePtr root_;
  std::unordered_map<std::string, ir::Module*> modules_;
};

}  // namespace

bool is_conv1d_name(std::string_view path) {
  const size_t dot = path.rfind('.');
  const std::string_view name = dot == path.npos ? path : path.substr(dot + 1);
  return name == "c_attn" || name == "c_fc" || name == "c_proj" || name == "q_attn";
}

namespace {

/// Paths of modules whose tensors gate_up_proj [E, 2 N, K] and down_proj [E, K, N], or both of them
/// transposed, hold experts, as their shapes say.
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
    if (outer[0] > kMostExperts) continue;
    if (outer[1] == 2 * inner[2] && outer[2] == inner[1]) {
      found.push_back({path, outer[0], inner[2], outer[2], false});
    } else if (outer[2] == 2 * inner[1] && outer[1] == inner[2]) {
      found.push_back({path, outer[0], inner[1], outer[1], true});
    }
  }
  return found;
}

}  // namespace

ir::ModulePtr build_generic_tree(TensorStore& store, const GenericTreeOptions& options) {
  for (const FusedExperts& fused : find_fused_experts(store)) {
    if (fused.transposed) {
      split_transposed_experts(fused.path, store);
      continue;
    }
    const ExpertsConfig experts{.num_experts = fused.count, .size = fused.size};
    split_fused_experts(fused.path, experts, fused.hidden_size, store);
  }
  TreeBuilder tree(options);
  for (auto& tensor : store.take_tensors()) {
    const bool converts = options.dtype && is_plain_float(tensor->dtype);
    const at::ScalarType dtype = converts ? *options.dtype : tensor->dtype;
    const bool is_stored = tensor->stored != nullptr && dtype == tensor->dtype;
    tree.add(tensor->name, is_stored ? tensor->stored : make_parameter(*tensor, dtype));
    store.mark_used(*tensor, tensor->name);
    tensor = nullptr;  // there may be a million of them
  }
  return tree.root();
}

}  // namespace lathe::frontends
