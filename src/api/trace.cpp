#include "lathe/trace.h"

#include <unordered_set>

#include "api/model_impl.h"
#include "api/trace_inputs.h"
#include "base/error.h"
#include "ir/scalar_types.h"
#include "ir/text.h"
#include "trace/analyze.h"
#include "trace/opportunities.h"
#include "trace/shared_inputs.h"
#include "trace/unit_symbols.h"

namespace lathe {
namespace {

const SymRegistry& registry_of(const AnalyzeOptions& options) {
  static const SymRegistry kPeer = SymRegistry::builtin();
  static const SymRegistry kRich = trace::rich_registry();
  if (options.registry != nullptr) return *options.registry;
  return options.rules == TraceRules::kModelopt ? kPeer : kRich;
}

trace::GraphCollection collect(const ir::Module& root, const AnalyzeOptions& options) {
  return trace::GraphCollection::recursive_trace(
      root, {.registry = &registry_of(options), .as_peer = options.rules == TraceRules::kModelopt});
}

/// Operators in the graph of a module and of those that it calls; each module is counted once.
class OperationCounter {
 public:
  int64_t count(const ir::Module& module) {
    const auto [entry, is_new] = counts_.try_emplace(&module, 0);
    if (!is_new || !module.graph) return entry->second;
    int64_t count = 0;
    for (const auto& node : module.graph->nodes()) {
      if (node->kind == ir::NodeKind::kCallOp && node->target != "builtin::getitem") ++count;
      if (node->kind == ir::NodeKind::kCallModule) {
        const ir::Module& callee = module.at(node->target);
        count += callee.is_composite() ? this->count(callee) : 1;
      }
    }
    return counts_[&module] = count;
  }

 private:
  std::unordered_map<const ir::Module*, int64_t> counts_;
};

TracedModule describe(const std::string& path, const ir::Module& module,
                      const trace::GraphCollection& graphs, OperationCounter& counter) {
  TracedModule traced{.path = path, .type = module.type};
  traced.operations = counter.count(module);
  for (const auto& [name, parameter] : module.parameters) {
    traced.tensors.push_back(
        {name, parameter->shape(), std::string(ir::scalar_type_name(parameter->dtype()))});
  }
  traced.failure = graphs.failure_msg(module);
  traced.is_called = !graphs.is_unvisited(module);
  return traced;
}

bool is_container(const ir::Module& module) {
  return !module.is_composite() && !module.children.empty() && module.parameters.empty();
}

std::vector<SharingGroup> sharing_of(const ir::Module& root) {
  std::vector<SharingGroup> groups;
  for (trace::SharedInput& shared : trace::shared_inputs(root, trace::has_product)) {
    const ir::Module* producer = shared.producer.empty() ? nullptr : root.find(shared.producer);
    groups.push_back({std::move(shared.producer), producer ? producer->type : "", shared.alone,
                      std::move(shared.readers)});
  }
  return groups;
}

void find_opportunities(const ir::Module& root, const trace::GraphCollection& graphs,
                        Trace& trace) {
  if (root.is_composite()) {
    const auto graph = trace::FlatGraph::of("", root, trace::has_product);
    trace.opportunities = trace::find_fusions(graph, trace.sharing);
  }
  auto quantizable = trace::find_quantizable(
      root, [&](const ir::Module& module) { return !graphs.is_unvisited(module); });
  std::move(quantizable.begin(), quantizable.end(), std::back_inserter(trace.opportunities));
}

}  // namespace

SymMap analyze_symbols(const Model& model, const AnalyzeOptions& options,
                       std::vector<std::string>* warnings) {
  const Model::Impl& impl = model.impl();
  trace::Analysis analysis =
      options.rules == TraceRules::kModelopt
          ? trace::analyze_as_modelopt(impl.root(), registry_of(options), options.strict)
          : std::move(
                trace::analyze_units(impl.root(), registry_of(options), api::trace_inputs(impl))
                    .analysis);
  if (warnings != nullptr) *warnings = std::move(analysis.warnings);
  return std::move(analysis.symbols);
}

struct GraphCollection::Impl {
  Model model;  // a handle: it keeps the modules alive
  trace::GraphCollection graphs;
  std::vector<std::string> paths;

  const ir::Module& module(std::string_view path) const {
    const ir::Module* found = model.impl().root().find(path);
    if (found == nullptr) throw_user("{}: there is no module {}", model.path(), path);
    return *found;
  }
};

GraphCollection recursive_trace(const Model& model) {
  auto impl = std::make_shared<GraphCollection::Impl>(
      GraphCollection::Impl{model, collect(model.impl().root(), {}), {}});
  for (const auto& root : impl->graphs.roots()) impl->paths.push_back(root.path);
  return GraphCollection(std::move(impl));
}

const std::vector<std::string>& GraphCollection::modules() const { return impl_->paths; }

std::string GraphCollection::operator[](std::string_view path) const {
  const ir::Module& module = impl_->module(path);
  if (!module.graph) throw_user("{}: {} has no graph", impl_->model.path(), path);
  return ir::print(*module.graph);
}

int64_t GraphCollection::num_operations(std::string_view path) const {
  return OperationCounter().count(impl_->module(path));
}

std::string GraphCollection::failure_msg(std::string_view path) const {
  return std::string(impl_->graphs.failure_msg(impl_->module(path)));
}

bool GraphCollection::is_unvisited(std::string_view path) const {
  return impl_->graphs.is_unvisited(impl_->module(path));
}

Trace trace_model(const Model& model, const AnalyzeOptions& options) {
  const ir::Module& root = model.impl().root();
  const trace::GraphCollection graphs = collect(root, options);
  Trace result;
  OperationCounter counter;
  for (const auto& [path, module] : ir::named_modules(root)) {
    result.modules.push_back(describe(path, *module, graphs, counter));
    if (is_container(*module)) result.modules.back().failure.clear();
  }
  result.operations = counter.count(root);
  result.symbols = analyze_symbols(model, options, &result.warnings);
  if (root.is_composite()) result.sharing = sharing_of(root);
  find_opportunities(root, graphs, result);
  return result;
}

std::vector<GraphNode> graph_nodes(const Model& model, std::string_view path) {
  const ir::Module* module = model.impl().root().find(path);
  if (module == nullptr) throw_user("{}: there is no module {}", model.path(), path);
  std::vector<GraphNode> nodes;
  if (!module->graph) return nodes;
  for (const auto& node : module->graph->nodes()) {
    constexpr const char* kKinds[] = {"input", "parameter", "operator", "module", "output"};
    GraphNode drawn{node->name, kKinds[static_cast<size_t>(node->kind)], node->target, {}};
    std::unordered_set<const ir::Node*> seen;
    node->for_each_input([&](const ir::Node* input) {
      if (seen.insert(input).second) drawn.inputs.push_back(input->name);
    });
    nodes.push_back(std::move(drawn));
  }
  return nodes;
}

}  // namespace lathe
