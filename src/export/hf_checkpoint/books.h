#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::exporting {

/// What became of a tensor of the source.
enum class Fate { kQuantized, kCopied, kMerged, kDropped };

/// "quantized", "copied", "merged", "dropped".
std::string_view fate_name(Fate fate);

struct BookEntry {
  std::string source;  // name of the source's tensor
  Fate fate;
  std::string detail;  // the quant_algo, what it is part of, why it was dropped
  int64_t bytes;       // in the source
};

struct FateTotal {
  int64_t tensors = 0;
  int64_t bytes = 0;  // in the source
};

/// The books of an export: every tensor of the source is in them exactly once.
struct Books {
  std::vector<BookEntry> entries;
  uint64_t output_bytes = 0;  // of all tensors written

  FateTotal total(Fate fate) const;
  /// "290 tensors: 210 quantized (269 MB), 79 copied (57 MB), 1 dropped (2 kB); 193 MB written"
  std::string summary() const;
};

}  // namespace lathe::exporting
