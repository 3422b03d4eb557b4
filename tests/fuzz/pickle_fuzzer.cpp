#include "frontends/torch_export/pickle.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> bytes) {
    const auto pickle = lathe::frontends::torch_export::Pickle::parse(bytes, "input");
    lathe::fuzz_check(pickle.root().items.size() <= bytes.size() * bytes.size());
  });
}
