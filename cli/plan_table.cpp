#include "cli/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <tuple>

#include "cli/folded_name.h"
#include "cli/text_table.h"
#include "cli/value_text.h"

namespace lathe::cli {
namespace {

/// Where an action's lines stand in the table.
size_t action_rank(std::string_view action) {
  constexpr std::array<std::string_view, 7> kOrder = {"quantize", "keep", "fold", "copy",
                                                      "merge",    "tie",  "drop"};
  return static_cast<size_t>(std::find(kOrder.begin(), kOrder.end(), action) - kOrder.begin());
}

/// The longest dotted prefix that all names share, without the dot.
std::string common_parent(const std::vector<std::string>& names) {
  std::string parent = names.front();
  for (const auto& name : names) {
    const auto differ = std::mismatch(parent.begin(), parent.end(), name.begin(), name.end());
    const bool whole =
        differ.first == parent.end() && (differ.second == name.end() || *differ.second == '.');
    if (whole) continue;
    parent.erase(differ.first, parent.end());
    const size_t dot = parent.rfind('.');
    parent.erase(dot == std::string::npos ? 0 : dot);
  }
  return parent;
}

struct GroupShape {
  NumberedName parent;
  std::string members;  // "q_proj, k_proj, v_proj", folded
};

/// "experts.0.gate_proj", "experts.1.gate_proj" as "experts.[0-1].gate_proj".
std::string members_text(const std::vector<std::string>& names, size_t prefix) {
  std::vector<std::pair<std::string, FoldedName>> folded;
  for (const auto& name : names) {
    const auto member = take_numbers(std::string_view(name).substr(std::min(prefix, name.size())));
    auto found = std::find_if(folded.begin(), folded.end(),
                              [&](const auto& entry) { return entry.first == member.pattern; });
    if (found == folded.end()) {
      found = folded.insert(folded.end(), {member.pattern, FoldedName(member.pattern)});
    }
    found->second.add(member.numbers);
  }
  std::vector<std::string> texts;
  for (const auto& entry : folded) texts.push_back(entry.second.text());
  return fmt::format("{}", fmt::join(texts, ", "));
}

GroupShape shape_of(const std::vector<std::string>& group) {
  const std::string parent = common_parent(group);
  return {take_numbers(parent), members_text(group, parent.empty() ? 0 : parent.size() + 1)};
}

std::string tensor_table(const QuantizePlan& plan) {
  TextTable table({{"action"},
                   {"tensor"},
                   {"count", Align::kRight},
                   {"shape", Align::kRight},
                   {"format"},
                   {"before", Align::kRight},
                   {"after", Align::kRight}});
  for (const auto& line : fold_tensors(plan)) {
    table.add_row({line.action, line.name, fmt::format("{}", line.count), line.shape, line.format,
                   bytes_text(static_cast<double>(line.bytes_in)),
                   bytes_text(static_cast<double>(line.bytes_out))});
  }
  return table.text();
}

std::string groups_text(const QuantizePlan& plan) {
  std::string text;
  for (const auto& line : fold_groups(plan.groups)) {
    text += fmt::format("  {:>4} x  {}\n", line.count, line.text);
  }
  return text.empty() ? text : "\nshared scales\n" + text;
}

std::string left_alone_text(const QuantizePlan& plan) {
  std::string text;
  for (const auto& line : plan.left_alone) text += "  " + line + "\n";
  return text.empty() ? text : "\nleft alone\n" + text;
}

std::string sizes_text(const QuantizePlan& plan) {
  const auto before = static_cast<double>(plan.bytes_read);
  const auto after = static_cast<double>(plan.bytes_written);
  return fmt::format(
      "{} -> {} ({:.0f} %), {:.2f} bits per quantized weight; estimated: {} of memory, {}\n",
      bytes_text(before), bytes_text(after), before > 0 ? 100 * after / before : 0,
      plan.bits_per_weight, bytes_text(static_cast<double>(plan.memory_bytes)),
      duration_text(plan.seconds));
}

std::string calibration_text(const QuantizePlan& plan) {
  if (!plan.needs_calibration) return "no calibration needed";
  if (plan.calibration_samples > 0)
    return fmt::format("calibrated with {} samples", plan.calibration_samples);
  if (plan.calibration_tokens == 0) return "needs calibration data";
  return fmt::format("calibrated with {} tokens", plan.calibration_tokens);
}

}  // namespace

std::vector<PlanLine> fold_tensors(const QuantizePlan& plan) {
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  std::map<Key, size_t> index;
  std::vector<PlanLine> lines;
  std::vector<FoldedName> names;
  for (const auto& row : plan.tensors) {
    const auto name = take_numbers(row.name);
    const std::string shape = shape_text(row.shape);
    const auto [entry, added] =
        index.emplace(Key{row.action, name.pattern, row.format, shape}, lines.size());
    if (added) {
      lines.push_back({.action = row.action, .name = {}, .format = row.format, .shape = shape});
      names.emplace_back(name.pattern);
    }
    PlanLine& line = lines[entry->second];
    names[entry->second].add(name.numbers);
    ++line.count;
    line.bytes_in += row.bytes_in;
    line.bytes_out += row.bytes_out;
  }
  for (size_t i = 0; i < lines.size(); ++i) lines[i].name = names[i].text();
  std::stable_sort(lines.begin(), lines.end(), [](const PlanLine& a, const PlanLine& b) {
    return action_rank(a.action) < action_rank(b.action);
  });
  return lines;
}

std::vector<GroupLine> fold_groups(const std::vector<std::vector<std::string>>& groups) {
  std::map<std::pair<std::string, std::string>, size_t> index;
  std::vector<GroupLine> lines;
  std::vector<FoldedName> parents;
  std::vector<std::string> members;
  for (const auto& group : groups) {
    if (group.empty()) continue;
    auto shape = shape_of(group);
    const auto [entry, added] =
        index.emplace(std::pair{shape.parent.pattern, shape.members}, lines.size());
    if (added) {
      lines.emplace_back();
      parents.emplace_back(shape.parent.pattern);
      members.push_back(std::move(shape.members));
    }
    parents[entry->second].add(shape.parent.numbers);
    ++lines[entry->second].count;
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string parent = parents[i].text();
    lines[i].text = parent.empty() ? members[i] : parent + ": " + members[i];
  }
  return lines;
}

std::string source_text(const QuantizePlan& plan) {
  if (plan.source_algo.empty()) return "";
  return fmt::format(
      "the source is quantized ({}): {} weights are kept as they are, {} dequantized\n",
      plan.source_algo, plan.kept_weights, plan.decoded_weights);
}

std::string plan_text(const QuantizePlan& plan) {
  std::string text = fmt::format(
      "{}: {} ({}{}), {}\n\n",
      plan.architecture.empty() ? "unknown architecture" : plan.architecture, plan.config,
      plan.quant_algo.empty() ? "none" : plan.quant_algo,
      plan.kv_cache_algo.empty() ? "" : ", KV cache " + plan.kv_cache_algo, calibration_text(plan));
  text += tensor_table(plan);
  if (!plan.source_algo.empty()) text += "\n" + source_text(plan);
  text += groups_text(plan);
  text += left_alone_text(plan);
  return text + "\n" + sizes_text(plan);
}

}  // namespace lathe::cli
