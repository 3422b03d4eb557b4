// Traces a model by the C++ API: trace_model MODEL
//
// MODEL is a Hugging Face directory, a .gguf file or a .pt2 archive of torch.export.

#include <exception>
#include <iostream>

#include "lathe/trace.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: trace_model MODEL\n";
    return 2;
  }
  try {
    const auto model = lathe::Model::open(argv[1]);
    const auto graphs = lathe::recursive_trace(model);
    for (const auto& module : model.modules()) {
      std::cout << (module.path.empty() ? "(model)" : module.path) << ": " << module.type << ", "
                << graphs.num_operations(module.path) << " operations";
      if (graphs.is_failed(module.path)) std::cout << ": " << graphs.failure_msg(module.path);
      std::cout << "\n";
    }
    for (const auto& group : lathe::analyze_symbols(model).groups()) {
      std::cout << group.name << "\n";
      for (const auto& link : group.links) std::cout << "    " << link << "\n";
    }
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
