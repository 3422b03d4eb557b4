#include "fuzz/fuzz.h"
#include "io/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_text(data, size,
                          [](std::string_view text) { lathe::io::parse_yaml(text, "input"); });
}
