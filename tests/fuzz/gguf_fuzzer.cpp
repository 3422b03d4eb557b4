#include <vector>

#include "fuzz/fuzz.h"
#include "io/gguf_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> file) {
    const lathe::io::GgufHeader header = lathe::io::parse_gguf(file, "input");
    for (const auto& tensor : header.tensors) {
      lathe::fuzz_check(tensor.offset <= file.size() &&
                        tensor.bytes <= file.size() - tensor.offset);
      if (!lathe::io::can_dequantize(tensor.type)) continue;
      const auto info = lathe::io::ggml_type_info(tensor.type);
      std::vector<float> values(tensor.bytes / info.block_bytes *
                                static_cast<size_t>(info.block_elements));
      lathe::io::dequantize(tensor.type, file.subspan(tensor.offset, tensor.bytes), values);
    }
  });
}
