#include "fuzz/fuzz.h"
#include "io/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLimit = size_t{1} << 22;
  return lathe::fuzz_bytes(data, size, [](std::span<const std::byte> file) {
    const auto archive = lathe::io::ZipArchive::from_bytes(file, "input");
    for (const auto& entry : archive.entries()) {
      archive.stored_bytes(entry);
      lathe::fuzz_check(archive.read(entry, kLimit).size() == entry.bytes);
    }
  });
}
