#include "quantization/config/resolve.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace lathe::quantization {

namespace {

/// "a.weight_quantizers.3" becomes "a.weight_quantizer"; so do input_quantizers, and the singular
/// spelling. Any other name stays.
std::string without_expert_index(std::string_view name) {
  std::string out;
  for (const std::string_view stem : {"weight_quantizer", "input_quantizer"}) {
    const size_t found = name.find(stem);
    if (found == std::string_view::npos) continue;
    size_t index = found + stem.size();
    if (index < name.size() && name[index] == 's') ++index;
    if (index >= name.size() || name[index] != '.') continue;
    size_t end = index + 1;
    while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end]))) ++end;
    const bool whole = end > index + 1 && (end == name.size() || name[end] == '.');
    if (!whole) continue;
    out = name.substr(0, found + stem.size());
    out += name.substr(end);
    return out;
  }
  return std::string(name);
}

/// The name that patterns are written for: GPT-NeoX's head is embed_out in checkpoints.
std::string common_name(std::string_view name) {
  constexpr std::string_view kHead = "embed_out.";
  if (!name.starts_with(kHead)) return without_expert_index(name);
  return "lm_head." + without_expert_index(name.substr(kHead.size()));
}

/// Linear and convolutions have one scale for each output channel unless told otherwise.
bool has_channels(std::string_view parent_class) {
  const std::string_view base = class_base_name(parent_class);
  return base == "Linear" || base.starts_with("Conv");
}

/// Whether an entry says which modules it means, and not merely which of their quantizers.
bool names_modules(const QuantConfigEntry& entry, const NamePattern& pattern) {
  if (entry.parent_class) return true;
  const auto matches = [&](const char* quantizer) { return pattern.matches(quantizer); };
  constexpr std::array quantizers = {"input_quantizer", "weight_quantizer", "output_quantizer"};
  return std::none_of(quantizers.begin(), quantizers.end(), matches);
}

/// Switching a quantizer off takes its rotation away as well.
std::shared_ptr<const std::vector<QuantizerAttributes>> without_rotation(
    const std::shared_ptr<const std::vector<QuantizerAttributes>>& stages) {
  const auto rotates = [](const QuantizerAttributes& stage) { return stage.rotate.enable; };
  if (std::none_of(stages->begin(), stages->end(), rotates)) return stages;
  auto copy = std::make_shared<std::vector<QuantizerAttributes>>(*stages);
  for (auto& stage : *copy) stage.rotate.enable = false;
  return copy;
}

}  // namespace

QuantizerResolver::QuantizerResolver(QuantConfig config) : config_(std::move(config)) {
  using List = std::vector<QuantizerAttributes>;
  for (const auto& entry : config_.entries) {
    patterns_.emplace_back(entry.quantizer_name);
    names_modules_.push_back(names_modules(entry, patterns_.back()));
    stages_.push_back(entry.cfg ? std::make_shared<const List>(*entry.cfg) : nullptr);
  }
  per_tensor_ = std::make_shared<const List>(List{QuantizerAttributes{}});
  per_channel_ = std::make_shared<const List>(List{QuantizerAttributes{.axis = {0}}});
}

bool QuantizerResolver::entry_matches(size_t entry, std::string_view name,
                                      std::string_view normalized,
                                      std::string_view parent_class) const {
  const auto& wanted = config_.entries[entry].parent_class;
  if (wanted && class_base_name(*wanted) != class_base_name(parent_class)) return false;
  return patterns_[entry].matches(name) ||
         (normalized != name && patterns_[entry].matches(normalized));
}

ResolvedQuantizer QuantizerResolver::resolve(std::string_view name,
                                             std::string_view parent_class) const {
  const std::string normalized = common_name(name);
  const bool channels = normalized.ends_with("weight_quantizer") && has_channels(parent_class);
  const std::string_view last = name.substr(name.rfind('.') + 1);  // npos + 1 is 0
  ResolvedQuantizer out{.enabled = last != "output_quantizer",
                        .stages = channels ? per_channel_ : per_tensor_};
  for (size_t i = 0; i < config_.entries.size(); ++i) {
    if (!entry_matches(i, name, normalized, parent_class)) continue;
    out.enabled = config_.entries[i].enable.value_or(true);
    out.module_is_named = names_modules_[i];
    if (stages_[i]) {
      out.stages = stages_[i];
      out.entry = i;
    } else if (!out.enabled) {
      out.stages = without_rotation(out.stages);
    }
  }
  return out;
}

std::vector<size_t> QuantizerResolver::unmatched_entries(
    std::span<const QuantizerName> names) const {
  std::vector<std::string> normalized;
  for (const auto& [name, parent] : names) normalized.push_back(common_name(name));
  std::vector<size_t> unmatched;
  for (size_t i = 0; i < config_.entries.size(); ++i) {
    if (config_.entries[i].builtin) continue;
    bool matched = false;
    for (size_t n = 0; n < names.size() && !matched; ++n) {
      matched = entry_matches(i, names[n].name, normalized[n], names[n].parent_class);
    }
    if (!matched) unmatched.push_back(i);
  }
  return unmatched;
}

}  // namespace lathe::quantization
