#include "export/hf_checkpoint/books.h"

#include "base/error.h"
#include "base/progress.h"

namespace lathe::exporting {

std::string_view fate_name(Fate fate) {
  switch (fate) {
    case Fate::kQuantized:
      return "quantized";
    case Fate::kCopied:
      return "copied";
    case Fate::kMerged:
      return "merged";
    case Fate::kDropped:
      return "dropped";
  }
  throw_internal("no fate {}", static_cast<int>(fate));
}

void Books::add(Fate fate, int64_t bytes) {
  FateTotal& total = totals.at(static_cast<size_t>(fate));
  ++total.tensors;
  total.bytes += bytes;
}

std::string Books::summary() const {
  int64_t tensors = 0;
  for (const FateTotal& sum : totals) tensors += sum.tensors;
  std::string text = fmt::format("{} tensors", tensors);
  std::string_view separator = ": ";
  for (const Fate fate : {Fate::kQuantized, Fate::kCopied, Fate::kMerged, Fate::kDropped}) {
    const FateTotal& sum = total(fate);
    if (sum.tensors == 0) continue;
    text += fmt::format("{}{} {} ({})", separator, sum.tensors, fate_name(fate),
                        format_bytes(static_cast<double>(sum.bytes)));
    separator = ", ";
  }
  return text + fmt::format("; {} written", format_bytes(static_cast<double>(output_bytes)));
}

}  // namespace lathe::exporting
