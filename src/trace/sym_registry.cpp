#include <array>

#include "base/error.h"
#include "ir/module.h"
#include "lathe/symbol.h"

namespace lathe {
namespace {

using Dims = std::set<int64_t>;

Symbol::Options incoming(Dims dims) { return {.flow = Flow::kIncoming, .elastic_dims = dims}; }
Symbol::Options outgoing(Dims dims) {
  return {.searchable = true, .flow = Flow::kOutgoing, .elastic_dims = dims};
}

/// C of N, C and `spatial` more dimensions.
Dims channel_dims(int64_t spatial) { return {1, -(spatial + 1)}; }

/// The digit of Conv2d, BatchNorm1d, ...
int64_t spatial_dims(std::string_view type) {
  return type.size() < 2 ? 0 : type[type.size() - 2] - '0';
}

SymInfo linear_rule(const ModuleView&) {
  SymInfo info;
  return info.add("in_features", incoming({-1})).add("out_features", outgoing({-1}));
}

/// N of "N channels in, M out", from weight [M, N / groups, ...] or, transposed, [N, M / groups,
/// ...].
std::pair<int64_t, int64_t> conv_channels(const ModuleView& module, int64_t groups,
                                          bool transposed) {
  const std::vector<int64_t> weight = module.shape("weight");
  if (weight.size() < 2) throw_data("{} needs a weight of 3 or more dimensions", module.type());
  if (transposed) return {weight[0], weight[1] * groups};
  return {weight[1] * groups, weight[0]};
}

SymRegistry::Rule conv_rule(int64_t spatial, bool transposed) {
  return [spatial, transposed](const ModuleView& module) {
    SymInfo info;
    info.add("kernel_size", {.searchable = true});
    info.add("out_channels", outgoing(channel_dims(spatial)));
    info.add("in_channels", incoming(channel_dims(spatial)));
    const int64_t groups = module.attribute("groups", 1);
    if (groups <= 1) return info;
    const auto [in, out] = conv_channels(module, groups, transposed);
    Symbol& in_channels = *info.find("in_channels");
    Symbol& out_channels = *info.find("out_channels");
    if (in != out) {
      in_channels.disable();
      out_channels.disable();
      return info;
    }
    out_channels.link_to(in_channels);
    if (groups != in) {
      in_channels.set_sortable(false);
      out_channels.set_sortable(false);
    }
    return info;
  };
}

SymRegistry::Rule norm_rule(std::string name, Dims dims, bool sortable = true) {
  return [name, dims, sortable](const ModuleView&) {
    SymInfo info;
    info.is_shape_preserving = true;
    Symbol::Options options = incoming(dims);
    options.sortable = sortable;
    return info.add(name, options);
  };
}

SymInfo sequential_rule(const ModuleView& module) {
  SymInfo info;
  info.symbols.emplace_back(
      "depth", std::make_shared<SymDepth>(static_cast<int64_t>(module.num_children())));
  return info;
}

void add_norms(SymRegistry& registry) {
  for (const std::string kind : {"BatchNorm", "InstanceNorm"}) {
    registry.add(kind + "1d", norm_rule("num_features", {1}));
    registry.add(kind + "2d", norm_rule("num_features", channel_dims(2)));
    registry.add(kind + "3d", norm_rule("num_features", channel_dims(3)));
  }
  registry.add("SyncBatchNorm", norm_rule("num_features", {1}));
  registry.add("LayerNorm", norm_rule("num_features", {-1}));
  registry.add("GroupNorm", norm_rule("num_channels", {1}, false));
}

}  // namespace

const std::string& ModuleView::type() const { return module_->type; }

std::vector<int64_t> ModuleView::shape(std::string_view parameter) const {
  const ir::ParameterPtr* found = module_->parameters.find(parameter);
  return found == nullptr ? std::vector<int64_t>() : (*found)->shape();
}

int64_t ModuleView::attribute(std::string_view name, int64_t otherwise) const {
  const ir::Attribute* found = module_->attributes.find(name);
  const int64_t* value = found == nullptr ? nullptr : std::get_if<int64_t>(found);
  return value == nullptr ? otherwise : *value;
}

size_t ModuleView::num_children() const { return module_->children.size(); }

SymRegistry SymRegistry::builtin() {
  SymRegistry registry;
  registry.add("Linear", linear_rule);
  for (const std::string type : {"Conv1d", "Conv2d", "Conv3d"}) {
    registry.add(type, conv_rule(spatial_dims(type), false));
  }
  for (const std::string type : {"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"}) {
    registry.add(type, conv_rule(spatial_dims(type), true));
  }
  add_norms(registry);
  registry.add("Sequential", sequential_rule, false);
  return registry;
}

void SymRegistry::add(std::string type, Rule rule, bool is_leaf) {
  if (is_leaf) leaves_.insert(type);
  rules_[std::move(type)] = std::move(rule);
}

void SymRegistry::add(std::span<const std::string_view> types, const Rule& rule, bool is_leaf) {
  for (const std::string_view type : types) add(std::string(type), rule, is_leaf);
}

void SymRegistry::remove(std::string_view type) {
  if (rules_.erase(std::string(type)) == 0) throw_user("the type {} is not registered", type);
  remove_leaf(type);
}

const SymRegistry::Rule* SymRegistry::find(std::string_view type) const {
  const auto found = rules_.find(std::string(type));
  return found == rules_.end() ? nullptr : &found->second;
}

}  // namespace lathe
