#include "frontends/generic_tree.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

namespace lathe::frontends {
namespace {

constexpr size_t kDeepest = 64;
// NamedList searches one by one: a file whose names make it quadratic is refused. Models have some
// hundred.
constexpr size_t kWidest = 1 << 14;

constexpr std::array<std::string_view, 10> kEmbeddingNames = {"embed_tokens",
                                                              "wte",
                                                              "wpe",
                                                              "word_embeddings",
                                                              "position_embeddings",
                                                              "token_type_embeddings",
                                                              "embed_positions",
                                                              "tok_embeddings",
                                                              "embeddings",
                                                              "embed_in"};

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

bool says_embedding(std::string_view name) {
  return std::find(kEmbeddingNames.begin(), kEmbeddingNames.end(), name) != kEmbeddingNames.end();
}

bool says_conv1d(std::string_view name) {
  return name == "c_attn" || name == "c_fc" || name == "c_proj" || name == "q_attn";
}

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
    const bool is_matrix = parameter->shape().size() == 2 && is_plain_float(parameter->dtype());
    if (parts.back() == "weight" && is_matrix && parts.size() > 1) {
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
    if (options_.conv1d_weights && says_conv1d(name)) return "Conv1D";
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

ir::ModulePtr build_generic_tree(TensorStore& store, const GenericTreeOptions& options) {
  TreeBuilder tree(options);
  for (const StoredTensor* tensor : store.tensors()) {
    const bool converts = options.dtype && is_plain_float(tensor->dtype);
    tree.add(tensor->name, make_parameter(*tensor, converts ? *options.dtype : tensor->dtype));
    store.mark_used(*tensor, tensor->name);
  }
  return tree.root();
}

}  // namespace lathe::frontends
