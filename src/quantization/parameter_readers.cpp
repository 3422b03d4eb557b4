#include "quantization/parameter_readers.h"

namespace lathe::quantization {

ParameterReaders parameter_readers(const ir::Module& root) {
  ParameterReaders readers;
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (!module->is_composite()) {
      for (const auto* list : {&module->parameters, &module->buffers}) {
        for (const auto& [name, parameter] : *list)
          readers[parameter.get()].emplace_back(path, module);
      }
      continue;
    }
    for (const auto& node : module->graph->nodes()) {
      if (node->kind != ir::NodeKind::kGetAttr) continue;
      if (const ir::ParameterPtr parameter = module->find_parameter(node->target))
        readers[parameter.get()].emplace_back(path, module);
    }
  }
  return readers;
}

}  // namespace lathe::quantization
