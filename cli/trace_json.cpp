#include "cli/trace_json.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::ordered_json;

void add_symbols(const Trace& trace, Json& document) {
  Json searchable = Json::array(), links = Json::object(), unsortable = Json::array();
  Json skippable = Json::object(), units = Json::object();
  for (const SymbolGroup& group : trace.symbols.groups()) {
    searchable.push_back(group.name);
    if (!group.links.empty()) links[group.name] = group.links;
    if (!group.symbol->is_sortable()) unsortable.push_back(group.name);
    if (const auto* depth = dynamic_cast<const SymDepth*>(group.symbol))
      skippable[group.name] = depth->skippable();
    if (const SymbolUnits* own = group.symbol->units()) {
      Json tensors = Json::array();
      for (const auto& [tensor, dim] : own->tensors) tensors.push_back({tensor, dim});
      units[group.name] = {{"count", own->count},
                           {"role", own->role},
                           {"has_statistics", own->has_statistics},
                           {"tensors", std::move(tensors)}};
    }
  }
  document["searchable"] = std::move(searchable);
  document["links"] = std::move(links);
  document["unsortable"] = std::move(unsortable);
  document["skippable"] = std::move(skippable);
  document["units"] = std::move(units);
}

Json to_json(const TracedModule& module) {
  Json tensors = Json::array();
  for (const auto& tensor : module.tensors)
    tensors.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"dtype", tensor.dtype}});
  return {{"path", module.path},
          {"type", module.type},
          {"operations", module.operations},
          {"tensors", std::move(tensors)},
          {"failure", module.failure},
          {"is_called", module.is_called}};
}

}  // namespace

Json to_json(const Trace& trace) {
  Json document;
  add_symbols(trace, document);
  document["operations"] = trace.operations;
  document["modules"] = Json::array();
  for (const TracedModule& module : trace.modules) document["modules"].push_back(to_json(module));
  document["sharing"] = Json::array();
  for (const SharingGroup& group : trace.sharing) {
    document["sharing"].push_back({{"producer", group.producer},
                                   {"producer_type", group.producer_type},
                                   {"alone", group.alone},
                                   {"readers", group.readers}});
  }
  document["opportunities"] = Json::array();
  for (const Opportunity& opportunity : trace.opportunities) {
    document["opportunities"].push_back({{"kind", opportunity.kind},
                                         {"modules", opportunity.modules},
                                         {"obstacles", opportunity.obstacles}});
  }
  document["warnings"] = trace.warnings;
  return document;
}

}  // namespace lathe::cli
