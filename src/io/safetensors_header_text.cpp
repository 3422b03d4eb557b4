#include "io/safetensors_header_text.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "io/json.h"
#include "io/safetensors_reader.h"

namespace lathe::io {

std::string json_string(std::string_view text) {
  const auto is_plain = [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; };
  if (!std::ranges::all_of(text, is_plain)) return dump_json(nlohmann::json(text), -1);
  std::string json;
  json.reserve(text.size() + 2);
  json.append("\"").append(text).append("\"");
  return json;
}

size_t tensor_bytes(std::string_view name, DType dtype, std::span<const int64_t> shape) {
  const auto numel = checked_numel(shape);
  const auto bytes = numel ? checked_mul<uint64_t>(static_cast<uint64_t>(*numel), dtype_size(dtype))
                           : std::nullopt;
  if (!bytes)
    throw_internal("tensor \"{}\": cannot write shape [{}]", name, fmt::join(shape, ", "));
  return *bytes;
}

std::vector<size_t> file_order(std::span<const DType> dtypes) {
  std::vector<size_t> order(dtypes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return dtype_size(dtypes[a]) > dtype_size(dtypes[b]);
  });
  return order;
}

std::string header_start(const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + dump_json(nlohmann::json(metadata), -1);
  return text;
}

void append_entry(std::string& text, const HeaderEntry& entry, bool has_members) {
  fmt::format_to(std::back_inserter(text),
                 "{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                 has_members ? "," : "", json_string(entry.name), dtype_name(entry.dtype),
                 fmt::join(entry.shape, ","), entry.begin, entry.begin + entry.bytes);
}

std::string length_prefix(uint64_t length) {
  if (length > kMaxSafetensorsHeader) {
    throw_user(
        "a safetensors header of {} bytes is above the format's limit of {}: use smaller shards",
        length, kMaxSafetensorsHeader);
  }
  return std::string(reinterpret_cast<const char*>(&length), sizeof length);
}

std::string header_text(const std::vector<HeaderEntry>& entries,
                        const std::map<std::string, std::string>& metadata) {
  std::string json = header_start(metadata);
  for (const HeaderEntry& entry : entries) append_entry(json, entry, json.size() > 1);
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return length_prefix(json.size()) + json;
}

}  // namespace lathe::io
