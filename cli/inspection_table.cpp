#include "cli/inspection_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "cli/folded_name.h"
#include "cli/text_table.h"
#include "cli/value_text.h"

namespace lathe::cli {
namespace {

struct Line {
  std::string pattern;
  FoldedName name;
  const Inspection::TensorRow* first;
  int64_t count = 0;
  int64_t bytes = 0;
};

std::vector<Line> fold(const Inspection& inspection, bool all) {
  using Key = std::tuple<std::string, std::string, std::vector<int64_t>, std::string>;
  std::map<Key, size_t> index;
  std::vector<Line> lines;
  for (const auto& row : inspection.tensors) {
    const auto name = all ? NumberedName{row.name, {}} : take_numbers(row.name);
    const auto [entry, added] =
        index.emplace(Key{name.pattern, row.stored, row.shape, row.format}, lines.size());
    if (added) {
      lines.push_back({.pattern = name.pattern, .name = FoldedName(name.pattern), .first = &row});
    }
    Line& line = lines[entry->second];
    line.name.add(name.numbers);
    ++line.count;
    line.bytes += row.bytes;
  }
  // Files order tensors by size of their elements; a module's belong together.
  const auto by_name = [](const Line& a, const Line& b) { return a.pattern < b.pattern; };
  if (!all) std::stable_sort(lines.begin(), lines.end(), by_name);
  return lines;
}

std::string summary(const Inspection& inspection) {
  std::string text = fmt::format(
      "{}, {}\n", inspection.kind,
      inspection.architecture.empty() ? "unknown architecture" : inspection.architecture);
  text += fmt::format("{} parameters, {}, {:.2f} bits per weight, {}",
                      count_text(inspection.parameters),
                      bytes_text(static_cast<double>(inspection.bytes)), inspection.bits_per_weight,
                      inspection.quant_algo.empty() ? "not quantized" : inspection.quant_algo);
  if (!inspection.kv_cache_algo.empty()) text += ", KV cache " + inspection.kv_cache_algo;
  if (!inspection.dtype.empty()) text += ", computes in " + inspection.dtype;
  return text + "\n\n";
}

}  // namespace

std::string inspection_text(const Inspection& inspection, bool all) {
  TextTable table({{"tensor"},
                   {"count", Align::kRight},
                   {"stored"},
                   {"shape", Align::kRight},
                   {"bytes", Align::kRight},
                   {"format"}});
  for (const auto& line : fold(inspection, all)) {
    table.add_row({line.name.text(), fmt::format("{}", line.count), line.first->stored,
                   shape_text(line.first->shape), bytes_text(static_cast<double>(line.bytes)),
                   line.first->format});
  }
  return summary(inspection) + table.text();
}

}  // namespace lathe::cli
