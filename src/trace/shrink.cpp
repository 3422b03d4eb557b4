#include "trace/shrink.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"

namespace lathe::trace {
namespace {

int64_t size_after(const AxisTable& axes, AxisId axis, const KeptUnits& kept) {
  switch (axes.kind(axis)) {
    case AxisTable::Kind::kAtom: {
      const auto found = kept.find(axes.find(axis));
      return found == kept.end() ? axes.size(axis) : static_cast<int64_t>(found->second.size());
    }
    case AxisTable::Kind::kProduct: {
      int64_t size = 1;
      for (const AxisId part : axes.parts(axis)) size *= size_after(axes, part, kept);
      return size;
    }
    case AxisTable::Kind::kSum:
      break;
  }
  int64_t size = 0;
  for (const AxisId part : axes.parts(axis)) size += size_after(axes, part, kept);
  return size;
}

void slice_parameters(ir::Module& model, const UnitResult& units, const KeptUnits& kept) {
  std::unordered_set<const ir::Parameter*> done;
  const auto slice = [&](const ir::ParameterPtr& parameter) {
    const auto axes = units.parameters.find(parameter.get());
    if (axes == units.parameters.end() || !done.insert(parameter.get()).second) return;
    at::Tensor value = parameter->tensor();
    for (size_t dim = 0; dim < axes->second.size(); ++dim) {
      const auto positions = kept_positions(units.axes, axes->second[dim], kept);
      if (static_cast<int64_t>(positions.size()) == value.size(static_cast<int64_t>(dim))) continue;
      value = at::index_select(value, static_cast<int64_t>(dim), at::tensor(positions));
    }
    if (value.sizes() != at::IntArrayRef(parameter->shape())) parameter->set(value.contiguous());
  };
  for (const auto& [path, module] : ir::named_modules(model)) {
    for (const auto& [name, parameter] : module->parameters) slice(parameter);
    for (const auto& [name, buffer] : module->buffers) slice(buffer);
  }
}

/// Graphs of modules that change: each gets one of its own.
class GraphEditor {
 public:
  explicit GraphEditor(ir::Module& model) {
    for (const auto& [path, module] : ir::named_modules(model)) modules_[module] = module;
  }

  /// The node's twin in the module's own graph.
  ir::Node& node(const ir::Module* module, const ir::Node* original) {
    Edited& edited = edit(module);
    return *edited.graph.nodes().at(edited.index.at(original));
  }
  ir::Graph& graph(const ir::Module* module) { return edit(module).graph; }
  ir::Module& module(const ir::Module* module) { return *modules_.at(module); }

  void finish() {
    for (auto& [module, edited] : edited_)
      modules_.at(module)->graph = std::make_shared<const ir::Graph>(std::move(edited.graph));
  }

 private:
  struct Edited {
    ir::Graph graph;
    std::unordered_map<const ir::Node*, size_t> index;
  };

  Edited& edit(const ir::Module* module) {
    auto [entry, is_new] = edited_.try_emplace(module);
    if (is_new) {
      entry->second.graph = module->graph->clone();
      for (size_t i = 0; i < module->graph->nodes().size(); ++i)
        entry->second.index[module->graph->nodes()[i].get()] = i;
    }
    return entry->second;
  }

  std::unordered_map<const ir::Module*, ir::Module*> modules_;
  std::map<const ir::Module*, Edited> edited_;
};

void set_number(ir::Argument& argument, int64_t item, int64_t number) {
  if (item < 0) {
    argument = number;
    return;
  }
  auto list = std::get<ir::Argument::List>(argument.value());
  list.at(static_cast<size_t>(item)) = number;
  argument = std::move(list);
}

void set_attribute(ir::Module& module, const SizeUse& use, int64_t number) {
  const ir::Attribute* attribute = module.attributes.find(use.name);
  if (use.item < 0) return module.attributes.set(use.name, number);
  auto list = std::get<std::vector<int64_t>>(*attribute);
  list.at(static_cast<size_t>(use.item)) = number;
  module.attributes.set(use.name, std::move(list));
}

void set_sizes(GraphEditor& editor, const UnitResult& units, const KeptUnits& kept) {
  for (const SizeUse& use : units.sizes) {
    int64_t before = 0;
    int64_t after = 0;
    for (const AxisId axis : use.axes) {
      before += units.axes.size(axis);
      after += size_after(units.axes, axis, kept);
    }
    if (before == after) continue;
    if (use.node == nullptr) {
      set_attribute(editor.module(use.module), use, after);
      continue;
    }
    ir::Node& node = editor.node(use.module, use.node);
    if (use.name.empty()) {
      set_number(node.args.at(use.argument), use.item, after);
    } else {
      for (auto& [name, argument] : node.kwargs) {
        if (name == use.name) set_number(argument, use.item, after);
      }
    }
  }
  for (const ScaleUse& use : units.scales) {
    ir::Node& node = editor.node(use.module, use.node);
    std::erase_if(node.kwargs, [](const auto& named) { return named.first == "scale"; });
    // A scale that is left out by position is None: said by name it may not be there as well.
    if (node.target == "lathe::attention" && node.args.size() > 5) {
      node.args[5] = use.scale;
    } else {
      node.kwargs.emplace_back("scale", use.scale);
    }
  }
}

/// Leaves experts' values out of the combination, and calls of experts with them.
void drop_experts(GraphEditor& editor, const UnitResult& units, const KeptUnits& kept) {
  for (const ExpertUse& use : units.experts) {
    const auto found = kept.find(units.axes.find(use.axis));
    if (found == kept.end()) continue;
    ir::Node& combination = editor.node(use.module, use.combination);
    const auto outputs = std::get<ir::Argument::List>(combination.args.at(0).value());
    ir::Argument::List left;
    for (const int64_t unit : found->second) left.push_back(outputs.at(static_cast<size_t>(unit)));
    combination.args[0] = left;
    ir::Graph& graph = editor.graph(use.module);
    const auto rows_of = [&](const ir::Argument& output) {
      const ir::Node* call = output.node();
      return const_cast<ir::Node*>(call->args.at(0).node());
    };
    for (size_t unit = 0; unit < left.size(); ++unit)
      rows_of(left[unit])->args.at(4) = static_cast<int64_t>(unit);
    for (size_t unit = 0; unit < outputs.size(); ++unit) {
      const auto index = static_cast<int64_t>(unit);
      if (std::find(found->second.begin(), found->second.end(), index) != found->second.end())
        continue;
      const ir::Node* rows = rows_of(outputs[unit]);
      graph.erase(outputs[unit].node());
      graph.erase(rows);
    }
  }
}

}  // namespace

std::vector<int64_t> kept_positions(const AxisTable& axes, AxisId axis, const KeptUnits& kept) {
  std::vector<bool> stays(static_cast<size_t>(axes.size(axis)), true);
  for (const AxisId atom : axes.atoms(axis)) {
    const auto found = kept.find(atom);
    if (found == kept.end()) continue;
    std::vector<bool> keeps(static_cast<size_t>(axes.size(atom)), false);
    for (const int64_t unit : found->second) keeps.at(static_cast<size_t>(unit)) = true;
    for (int64_t unit = 0; unit < axes.size(atom); ++unit) {
      if (keeps[static_cast<size_t>(unit)]) continue;
      for (const int64_t position : axes.positions(axis, atom, unit))
        stays[static_cast<size_t>(position)] = false;
    }
  }
  std::vector<int64_t> positions;
  for (size_t i = 0; i < stays.size(); ++i) {
    if (stays[i]) positions.push_back(static_cast<int64_t>(i));
  }
  return positions;
}

void shrink(ir::Module& model, const UnitResult& units, const KeptUnits& kept) {
  for (const auto& [atom, stay] : kept) {
    check_internal(!units.axes.is_fixed(atom), "an axis of {} that cannot change is to be shrunk",
                   units.axes.size(atom));
    check_internal(!stay.empty(), "an axis cannot lose all of its units");
  }
  slice_parameters(model, units, kept);
  GraphEditor editor(model);
  set_sizes(editor, units, kept);
  drop_experts(editor, units, kept);
  editor.finish();
}

}  // namespace lathe::trace
