#include "fuzz/fuzz.h"
#include "io/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> bytes) {
    const auto pickle = lathe::io::Pickle::parse(bytes, "input");
    lathe::fuzz_check(pickle.root().items.size() <= bytes.size() * bytes.size());
  });
}
