#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::exporting {

/// What became of a tensor of the source.
enum class Fate { kQuantized, kCopied, kMerged, kDropped };

/// "quantized", "copied", "merged", "dropped".
std::string_view fate_name(Fate fate);

struct FateTotal {
  int64_t tensors = 0;
  int64_t bytes = 0;  // in the source
};

/// The books of an export: every tensor of the source is added to them exactly once.
struct Books {
  std::array<FateTotal, 4> totals{};  // by fate
  uint64_t output_bytes = 0;          // of all tensors written

  /// `bytes`: of the tensor in the source.
  void add(Fate fate, int64_t bytes);
  const FateTotal& total(Fate fate) const { return totals.at(static_cast<size_t>(fate)); }
  /// "290 tensors: 210 quantized (269 MB), 79 copied (57 MB), 1 dropped (2 kB); 193 MB written"
  std::string summary() const;
};

}  // namespace lathe::exporting
