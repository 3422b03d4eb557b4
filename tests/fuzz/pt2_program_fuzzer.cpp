#include "frontends/torch_export/calls.h"
#include "frontends/torch_export/inline_graphs.h"
#include "frontends/torch_export/program.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lathe::frontends::torch_export;
  return lathe::fuzz_text(data, size, [](std::string_view text) {
    Program program = parse_program(text, "input");
    inline_graphs(program);
    const CallTree calls(program.graph);
    // Every value is where the tree says, and calls lie within each other.
    for (size_t i = 0; i < program.graph.nodes.size(); ++i) {
      const Call* call = &calls.call_at(i);
      for (; call != nullptr; call = call->parent) lathe::fuzz_check(call->contains(i));
      for (const NamedValue& input : program.graph.nodes[i].inputs) {
        for_each_name(input.value, [&](const std::string& name) {
          const Definition& definition = calls.definition(name);
          lathe::fuzz_check(definition.node == nullptr || definition.position < i);
        });
      }
    }
  });
}
