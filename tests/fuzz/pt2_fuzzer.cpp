#include "frontends/torch_export/archive.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> file) {
    const auto archive = lathe::frontends::torch_export::read_archive(file, "input");
    for (const auto* list : {&archive.weights, &archive.constants}) {
      for (const auto& view : *list) check_view(view);
    }
  });
}
