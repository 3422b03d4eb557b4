#include "fuzz/fuzz.h"
#include "io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_text(data, size, [](std::string_view text) {
    const auto json =
        lathe::io::parse_ordered_json(text, "input", lathe::io::DuplicateKeys::kLastWins);
    // What is written is read back, and written the same.
    const std::string written = lathe::io::dump_json(json);
    lathe::fuzz_check(lathe::io::dump_json(lathe::io::parse_ordered_json(written, "written")) ==
                      written);
    lathe::io::parse_json(text, "input");
  });
}
