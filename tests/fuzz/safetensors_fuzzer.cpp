#include "fuzz/fuzz.h"
#include "io/safetensors_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> file) {
    size_t covered = 0;
    for (const auto& tensor : lathe::io::parse_safetensors_header(file, "input").tensors) {
      lathe::fuzz_check(tensor.offset <= file.size() &&
                        tensor.bytes <= file.size() - tensor.offset);
      covered += tensor.bytes;
    }
    lathe::fuzz_check(covered + 8 <= file.size());
  });
}
