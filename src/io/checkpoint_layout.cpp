#include "io/checkpoint_layout.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "io/json.h"
#include "io/safetensors_header_text.h"
#include "io/safetensors_reader.h"

namespace lathe::io {
namespace {

constexpr size_t kPrefix = sizeof(uint64_t);  // the length before a header

/// FNV-1a, 64 bits.
void hash_into(uint64_t& hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ 0xffu) * 0x100000001b3u;  // where one text ends: no byte of UTF-8
}

PlannedTensor plan_tensor(TensorSpec spec) {
  const size_t bytes = tensor_bytes(spec.name, spec.dtype, spec.shape);
  return {.name = std::move(spec.name),
          .dtype = spec.dtype,
          .shape = std::move(spec.shape),
          .shard = 0,
          .offset = 0,
          .bytes = bytes};
}

/// Gives each tensor its shard; returns the number of shards.
size_t assign_shards(std::vector<PlannedTensor>& tensors, size_t max_shard_bytes) {
  constexpr size_t kEntryBytes = 112;  // of a header, beside the name
  size_t shard = 0;
  size_t used = 0;
  size_t header = 0;
  for (PlannedTensor& tensor : tensors) {
    const auto total = checked_add(used, tensor.bytes);
    const bool is_full = used > 0 && (!total || *total > max_shard_bytes);
    if (is_full || header > kMaxSafetensorsHeader / 10 * 9) {
      ++shard;
      used = header = 0;
    }
    used += tensor.bytes;
    header += tensor.name.size() + kEntryBytes;
    tensor.shard = shard;
  }
  return shard + 1;
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

/// Orders one shard's tensors and gives them their offsets, those from the start of the data.
PlannedShard order_shard(std::vector<PlannedTensor>& tensors, const std::vector<size_t>& members) {
  std::vector<DType> dtypes;
  dtypes.reserve(members.size());
  for (const size_t i : members) dtypes.push_back(tensors[i].dtype);
  PlannedShard shard{
      .file_name = {}, .order = file_order(dtypes), .header_bytes = 0, .file_bytes = 0};
  for (size_t& place : shard.order) {
    place = members[place];
    tensors[place].offset = shard.file_bytes;
    shard.file_bytes += tensors[place].bytes;
  }
  return shard;
}

/// The slot of the name, or the free one where it would be.
size_t slot_of(const std::vector<uint32_t>& slots, const std::vector<PlannedTensor>& tensors,
               std::string_view name) {
  size_t slot = std::hash<std::string_view>()(name) & (slots.size() - 1);
  while (slots[slot] != 0 && tensors[slots[slot] - 1].name != name)
    slot = (slot + 1) & (slots.size() - 1);
  return slot;
}

}  // namespace

CheckpointLayout plan_checkpoint(std::vector<TensorSpec> tensors_in_order, size_t max_shard_bytes,
                                 const std::map<std::string, std::string>& metadata) {
  if (max_shard_bytes == 0) throw_user("the maximum shard size must be at least 1 byte");
  CheckpointLayout layout{.metadata = metadata};
  layout.tensors.reserve(tensors_in_order.size());
  layout.slots.resize(std::bit_ceil(2 * tensors_in_order.size() + 1));
  for (TensorSpec& spec : tensors_in_order) {
    uint32_t& slot = layout.slots[slot_of(layout.slots, layout.tensors, spec.name)];
    check_internal(slot == 0, "tensor \"{}\" is planned twice", spec.name);
    slot = static_cast<uint32_t>(layout.tensors.size() + 1);
    const PlannedTensor& tensor = layout.tensors.emplace_back(plan_tensor(std::move(spec)));
    const auto total = checked_add(layout.total_bytes, tensor.bytes);
    if (!total) throw_internal("the checkpoint's size overflows");
    layout.total_bytes = *total;
  }
  tensors_in_order = std::vector<TensorSpec>();
  const size_t count = assign_shards(layout.tensors, max_shard_bytes);
  std::vector<std::vector<size_t>> members(count);
  for (size_t i = 0; i < layout.tensors.size(); ++i) members[layout.tensors[i].shard].push_back(i);
  for (size_t shard = 0; shard < count; ++shard) {
    PlannedShard& planned = layout.shards.emplace_back(order_shard(layout.tensors, members[shard]));
    planned.file_name = shard_name(shard, count);
    size_t header = 0;
    layout.make_header(planned, [&](std::string_view piece) { header += piece.size(); });
    planned.header_bytes = header;
    planned.file_bytes += header;
    for (const size_t i : planned.order) layout.tensors[i].offset += header;
  }
  return layout;
}

void CheckpointLayout::make_header(const PlannedShard& shard,
                                   const std::function<void(std::string_view)>& take) const {
  constexpr size_t kPiece = size_t{1} << 20;
  size_t given = 0;
  std::string piece = length_prefix(shard.header_bytes - std::min(shard.header_bytes, kPrefix));
  piece += header_start(metadata);
  bool has_members = !metadata.empty();
  size_t begin = 0;
  for (const size_t i : shard.order) {
    const PlannedTensor& tensor = tensors[i];
    append_entry(piece, {tensor.name, tensor.dtype, tensor.shape, begin, tensor.bytes},
                 std::exchange(has_members, true));
    begin += tensor.bytes;
    if (piece.size() < kPiece) continue;
    take(piece);
    given += piece.size();
    piece.clear();
  }
  piece += '}';
  piece.append((8 - (given + piece.size()) % 8) % 8, ' ');
  length_prefix(given + piece.size() - kPrefix);  // checks it
  take(piece);
}

const PlannedTensor* CheckpointLayout::find(std::string_view name) const {
  if (slots.empty()) return nullptr;
  const uint32_t place = slots[slot_of(slots, tensors, name)];
  return place == 0 ? nullptr : &tensors[place - 1];
}

uint64_t CheckpointLayout::hash() const {
  uint64_t hash = 0xcbf29ce484222325u;
  hash_into(hash, fingerprint);
  for (const PlannedShard& shard : shards) {
    hash_into(hash, shard.file_name);
    make_header(shard, [&](std::string_view piece) { hash_into(hash, piece); });
  }
  return hash;
}

std::string CheckpointLayout::index_json() const {
  if (shards.size() == 1) return {};
  std::vector<const PlannedTensor*> sorted;
  sorted.reserve(tensors.size());
  for (const PlannedTensor& tensor : tensors) sorted.push_back(&tensor);
  std::ranges::sort(sorted, {}, &PlannedTensor::name);
  // As text: a document of a million values would take more memory than the rest of the plan.
  std::string text = fmt::format(
      "{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total_bytes);
  const char* separator = "\n";
  for (const PlannedTensor* tensor : sorted) {
    text += fmt::format("{}    {}: {}", std::exchange(separator, ",\n"), json_string(tensor->name),
                        json_string(shards[tensor->shard].file_name));
  }
  text += sorted.empty() ? "}\n}\n" : "\n  }\n}\n";
  return text;
}

}  // namespace lathe::io
