#include "base/error.h"
#include "frontends/torch_export/program.h"
#include "fuzz/fuzz.h"
#include "io/json.h"
#include "unit/torch_export/all_edits.h"

namespace {

bool is_readable(const nlohmann::json& program) {
  try {
    lathe::frontends::torch_export::parse_program(lathe::io::dump_json(program), "program");
    return true;
  } catch (const lathe::DataError&) {
    return false;
  }
}

}  // namespace

/// Edits of a program that the reader takes make programs that it takes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lathe::exporting;
  return lathe::fuzz_text(data, size, [](std::string_view text) {
    const ProgramJson program(lathe::io::parse_json(text, "input"), "input");
    const bool readable = is_readable(program.root());
    for_each_edit(program, 4, [&](const ProgramEdits& edits) {
      const auto edited = try_edit(program, edits);
      if (edited && readable) lathe::fuzz_check(is_readable(edited->json));
    });
  });
}
