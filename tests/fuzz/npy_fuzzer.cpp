#include "fuzz/fuzz.h"
#include "io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLimit = size_t{1} << 24;
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> file) {
    const bool archive = !file.empty() && file[0] == std::byte{'P'};
    if (archive) {
      lathe::io::parse_npz(file, "input", kLimit);
    } else {
      lathe::io::parse_npy(file, "input");
    }
  });
}
