#include "io/safetensors_header_text.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "io/json.h"
#include "io/safetensors_reader.h"

namespace lathe::io {

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

std::string header_text(const std::vector<HeaderEntry>& entries,
                        const std::map<std::string, std::string>& metadata) {
  const auto quoted = [](std::string_view text) { return dump_json(nlohmann::json(text), -1); };
  std::string json = "{";
  if (!metadata.empty()) json += "\"__metadata__\":" + dump_json(nlohmann::json(metadata), -1);
  for (const HeaderEntry& entry : entries) {
    json += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json.size() > 1 ? "," : "", quoted(entry.name), dtype_name(entry.dtype),
                        fmt::join(entry.shape, ","), entry.begin, entry.begin + entry.bytes);
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > kMaxSafetensorsHeader) {
    throw_user(
        "a safetensors header of {} bytes is above the format's limit of {}: use smaller shards",
        json.size(), kMaxSafetensorsHeader);
  }
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + json;
}

}  // namespace lathe::io
