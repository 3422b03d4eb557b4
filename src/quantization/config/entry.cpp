#include "quantization/config/entry.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "quantization/config/strict_json.h"

namespace lathe::quantization {

using nlohmann::ordered_json;

namespace {

constexpr std::array<std::string_view, 4> kEntryKeys = {"quantizer_name", "parent_class", "cfg",
                                                        "enable"};

/// The classes of torch.nn that quantizers can belong to.
constexpr std::array<std::string_view, 30> kClasses = {"nn.Linear",
                                                       "nn.Conv1d",
                                                       "nn.Conv2d",
                                                       "nn.Conv3d",
                                                       "nn.ConvTranspose1d",
                                                       "nn.ConvTranspose2d",
                                                       "nn.ConvTranspose3d",
                                                       "nn.Embedding",
                                                       "nn.LayerNorm",
                                                       "nn.RMSNorm",
                                                       "nn.BatchNorm1d",
                                                       "nn.BatchNorm2d",
                                                       "nn.BatchNorm3d",
                                                       "nn.InstanceNorm1d",
                                                       "nn.InstanceNorm2d",
                                                       "nn.InstanceNorm3d",
                                                       "nn.MaxPool1d",
                                                       "nn.MaxPool2d",
                                                       "nn.MaxPool3d",
                                                       "nn.AvgPool1d",
                                                       "nn.AvgPool2d",
                                                       "nn.AvgPool3d",
                                                       "nn.AdaptiveAvgPool1d",
                                                       "nn.AdaptiveAvgPool2d",
                                                       "nn.AdaptiveAvgPool3d",
                                                       "nn.LeakyReLU",
                                                       "nn.RNN",
                                                       "nn.LSTM",
                                                       "nn.GRU",
                                                       "nn.MultiheadAttention"};

/// Takes `enable` out of the attributes, where the object form and old lists have it.
std::optional<bool> take_enable(ordered_json& cfg, const std::string& where) {
  if (!cfg.is_object()) return std::nullopt;
  const auto found = cfg.find("enable");
  if (found == cfg.end()) return std::nullopt;
  const bool enable = read_bool(*found, where + ".enable");
  cfg.erase(found);
  return enable;
}

void merge_enable(std::optional<bool>& enable, std::optional<bool> inner,
                  const std::string& where) {
  if (inner && enable && *inner != *enable) {
    throw_user("{}: enable is given twice, as {} and as {}", where, *enable, *inner);
  }
  if (inner) enable = inner;
}

bool has_no_attribute(const ordered_json& stages) {
  return std::all_of(stages.begin(), stages.end(),
                     [](const ordered_json& stage) { return stage.is_object() && stage.empty(); });
}

/// Sets entry.cfg, and entry.enable from the cfg's own `enable`. An empty cfg of an entry that
/// disables says nothing: the attributes stay.
void read_cfg(const ordered_json& value, QuantConfigEntry& entry, const std::string& where) {
  ordered_json stages = value.is_array() ? value : ordered_json::array({value});
  for (auto& stage : stages) {
    expect_object(stage, where);
    merge_enable(entry.enable, take_enable(stage, where), where);
  }
  if (has_no_attribute(stages)) {
    if (entry.enable == false) return;
    throw_user("{}: expected at least one attribute, such as num_bits or format, found {}", where,
               shown(value));
  }
  entry.cfg.emplace();
  for (size_t i = 0; i < stages.size(); ++i) {
    const std::string stage = stages.size() > 1 ? fmt::format("{}[{}]", where, i) : where;
    entry.cfg->push_back(parse_attributes(stages[i], stage));
  }
}

std::string read_class(const ordered_json& value, const std::string& where) {
  std::string name = read_string(value, where);
  if (name.starts_with("torch.nn.")) name.erase(0, std::string_view("torch.").size());
  const bool known = !name.starts_with("nn.") ||
                     std::find(kClasses.begin(), kClasses.end(), name) != kClasses.end();
  if (name.empty() || !known) {
    throw_user("{}: no module of class {} has quantizers{}", where, shown(value),
               did_you_mean(name, kClasses));
  }
  return name;
}

/// The value of one key of the object form: attributes and `enable` side by side, or a list of
/// stages.
QuantConfigEntry parse_keyed(const std::string& key, const ordered_json& value,
                             const std::string& where) {
  QuantConfigEntry entry{.quantizer_name = key == "default" ? "*" : key};
  if (!value.is_object() && !value.is_array()) {
    throw_user("{}: expected attributes of a quantizer, found {}", where, shown(value));
  }
  ordered_json cfg = value;
  merge_enable(entry.enable, take_enable(cfg, where), where);
  const bool only_enable = cfg.is_object() && cfg.empty() && entry.enable;
  if (!only_enable) read_cfg(cfg, entry, where);
  return entry;
}

}  // namespace

bool is_entry(const ordered_json& object) {
  const auto known = [&](std::string_view key) { return object.contains(key); };
  if (std::any_of(kEntryKeys.begin(), kEntryKeys.end(), known)) return true;
  if (object.size() == 1) return !object.begin()->is_object() && !object.begin()->is_array();
  return std::none_of(object.items().begin(), object.items().end(),
                      [](const auto& item) { return item.key().starts_with("nn."); });
}

QuantConfigEntry parse_entry(const ordered_json& value, const std::string& where) {
  expect_known_keys(value, kEntryKeys, where);
  const auto* pattern = find_value(value, "quantizer_name");
  if (!pattern) throw_user("{}: quantizer_name is missing", where);
  QuantConfigEntry entry{.quantizer_name = read_string(*pattern, where + ".quantizer_name")};
  const std::string named = fmt::format("{} ({})", where, entry.quantizer_name);
  if (const auto* parent = find_value(value, "parent_class")) {
    entry.parent_class = read_class(*parent, named + ": parent_class");
  }
  if (const auto* enable = find_value(value, "enable")) {
    entry.enable = read_bool(*enable, named + ": enable");
  }
  if (const auto* cfg = find_value(value, "cfg")) read_cfg(*cfg, entry, named + ": cfg");
  if (!entry.cfg && !entry.enable) throw_user("{}: expected cfg, enable or both", named);
  return entry;
}

std::vector<QuantConfigEntry> parse_keyed_entries(const ordered_json& object,
                                                  const std::string& where) {
  std::vector<QuantConfigEntry> entries;
  for (const auto& item : object.items()) {
    const std::string named = fmt::format("{} ({})", where, item.key());
    if (!item.key().starts_with("nn.")) {
      entries.push_back(parse_keyed(item.key(), item.value(), named));
      continue;
    }
    const std::string parent = read_class(item.key(), named);
    expect_object(item.value(), named);
    for (const auto& inner : item.value().items()) {
      const std::string both = fmt::format("{} ({}: {})", where, item.key(), inner.key());
      entries.push_back(parse_keyed(inner.key(), inner.value(), both));
      entries.back().parent_class = parent;
    }
  }
  return entries;
}

}  // namespace lathe::quantization
