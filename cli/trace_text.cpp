#include "cli/trace_text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "cli/folded_name.h"
#include "cli/trace_tree.h"

namespace lathe::cli {
namespace {

constexpr size_t kTypeColumn = 44;

void append_module(const TraceTree& tree, size_t depth, std::string& text) {
  const TracedModule& module = *tree.module;
  std::string line = std::string(2 * depth, ' ') + (depth == 0 ? "(model)" : tree.name);
  line = fmt::format("{:<{}} {}", line, kTypeColumn, module.type);
  if (tree.count > 1) line += fmt::format(" x {}", tree.count);
  if (!tree.children.empty() && module.operations > 0)
    line += fmt::format(", {} operations", module.operations);
  if (!module.tensors.empty()) line += "  " + tensors_text(module);
  if (!module.failure.empty()) line += fmt::format("  NOT UNDERSTOOD: {}", module.failure);
  const bool is_container = !tree.children.empty() && module.tensors.empty();
  if (!module.is_called && !is_container) line += "  (nothing calls it)";
  text += line + "\n";
  for (const TraceTree& child : tree.children) append_module(child, depth + 1, text);
}

/// Names of one pattern as one; in the order of their first.
std::vector<std::string> folded(const std::vector<std::string>& names, bool all) {
  if (all) return names;
  std::vector<std::pair<std::string, FoldedName>> found;
  for (const std::string& name : names) {
    const NumberedName numbered = take_numbers(name);
    const auto known = std::find_if(found.begin(), found.end(), [&](const auto& entry) {
      return entry.first == numbered.pattern;
    });
    if (known == found.end()) {
      found.emplace_back(numbered.pattern, FoldedName(numbered.pattern));
      found.back().second.add(numbered.numbers);
    } else {
      known->second.add(numbered.numbers);
    }
  }
  std::vector<std::string> texts;
  for (const auto& [pattern, name] : found) texts.push_back(name.text());
  return texts;
}

/// Entries whose lines are the same but for their numbers, as one.
class FoldedLines {
 public:
  explicit FoldedLines(bool all) : all_(all) {}

  /// `lists`: names that the line shows; `more` is the rest of it.
  void add(const std::vector<std::vector<std::string>>& lists, const std::string& more) {
    std::string key = more;
    for (const auto& list : lists) {
      for (const std::string& name : folded(list, false)) key += "|" + pattern_of(name);
      key += "#";
    }
    if (all_) key += std::to_string(order_.size());
    auto [entry, is_new] = lines_.try_emplace(key, Line{lists, more, 1});
    if (is_new) {
      order_.push_back(key);
      return;
    }
    entry->second.count += 1;
    for (size_t i = 0; i < lists.size(); ++i) {
      auto& own = entry->second.lists[i];
      own.insert(own.end(), lists[i].begin(), lists[i].end());
    }
  }

  /// show(lists, rest, count) gives the text of a line.
  template <typename Show>
  std::string text(const Show& show) const {
    std::string text;
    for (const std::string& key : order_) {
      const Line& line = lines_.at(key);
      std::vector<std::vector<std::string>> lists;
      for (const auto& list : line.lists) lists.push_back(folded(list, all_));
      text += show(lists, line.more, line.count);
    }
    return text;
  }

 private:
  struct Line {
    std::vector<std::vector<std::string>> lists;
    std::string more;
    size_t count;
  };

  /// "layers.[0-29].q_proj" is "layers.*.q_proj": how many there are does not matter.
  static std::string pattern_of(const std::string& name) {
    std::string pattern;
    bool inside = false;
    for (const char c : take_numbers(name).pattern) {
      if (c == '[') inside = true;
      if (!inside) pattern += c;
      if (c == ']') inside = false;
      if (c == ']') pattern += '*';
    }
    return pattern;
  }

  bool all_;
  std::vector<std::string> order_;
  std::map<std::string, Line> lines_;
};

std::string times(size_t count) { return count > 1 ? fmt::format(" x {}", count) : ""; }

std::string symbols_section(const Trace& trace, bool all) {
  FoldedLines lines(all);
  for (const SymbolGroup& group : trace.symbols.groups()) {
    std::string more;
    if (const SymbolUnits* units = group.symbol->units()) {
      more = fmt::format("{} {}", units->count, units->role.empty() ? "wide" : units->role);
      if (units->has_statistics) more += ", normed";
    }
    if (const auto* depth = dynamic_cast<const SymDepth*>(group.symbol)) {
      more = fmt::format("{} to {} blocks, can be skipped: {}", depth->min_depth(),
                         depth->max_depth(), fmt::join(depth->skippable(), " "));
    } else if (!group.symbol->is_sortable()) {
      more += more.empty() ? "not sortable" : ", not sortable";
    }
    if (group.name.ends_with(".kernel_size")) more = "of a kernel";
    lines.add({{group.name}, group.links}, more);
  }
  return lines.text([](const auto& lists, const std::string& more, size_t count) {
    std::string text = fmt::format("  {}{}{}\n", fmt::join(lists[0], ", "), times(count),
                                   more.empty() ? "" : "  (" + more + ")");
    for (const std::string& link : lists[1]) text += "      " + link + "\n";
    return text;
  });
}

std::string sharing_section(const Trace& trace, bool all) {
  FoldedLines lines(all);
  for (const SharingGroup& group : trace.sharing) {
    if (group.readers.size() < 2 && !group.alone) continue;
    if (group.readers.size() < 2 && group.producer.empty()) continue;
    lines.add({{group.producer}, group.readers},
              group.producer.empty()
                  ? "a value of the graph"
                  : group.producer_type + (group.alone ? ", feeds them alone" : ""));
  }
  return lines.text([](const auto& lists, const std::string& more, size_t count) {
    const bool has_producer = !lists[0].empty() && !lists[0][0].empty();
    return fmt::format("  {}{}{}\n      from {}{}\n", fmt::join(lists[1], ", "), times(count), "",
                       has_producer ? fmt::format("{} ", fmt::join(lists[0], ", ")) : "",
                       has_producer ? "(" + more + ")" : more);
  });
}

std::string opportunities_section(const Trace& trace, bool all) {
  FoldedLines lines(all);
  for (const Opportunity& opportunity : trace.opportunities) {
    std::string more = opportunity.kind;
    for (const std::string& obstacle : opportunity.obstacles) more += "; " + obstacle;
    lines.add({opportunity.modules}, more);
  }
  return lines.text([](const auto& lists, const std::string& more, size_t count) {
    return fmt::format("  {}{}: {}\n", more, times(count), fmt::join(lists[0], ", "));
  });
}

void append_section(const std::string& title, const std::string& lines, std::string& text) {
  if (!lines.empty()) text += "\n" + title + "\n" + lines;
}

}  // namespace

std::string trace_text(const Trace& trace, bool all) {
  std::string text;
  if (all) {
    for (const TracedModule& module : trace.modules)
      append_module({&module, module.path, module.path, 1, {}, {}}, module.path.empty() ? 0 : 1,
                    text);
  } else {
    append_module(make_trace_tree(trace), 0, text);
  }
  append_section("Symbols: sizes that can change, and what follows each",
                 symbols_section(trace, all), text);
  append_section("Linears and convolutions that read one value", sharing_section(trace, all), text);
  append_section("What can be fused or quantized", opportunities_section(trace, all), text);
  return text;
}

}  // namespace lathe::cli
