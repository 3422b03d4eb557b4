#include "io/checkpoint_layout.h"

#include <numeric>
#include <string_view>
#include <unordered_set>

#include "base/checked.h"
#include "base/error.h"
#include "io/json.h"
#include "io/safetensors_header_text.h"

namespace lathe::io {
namespace {

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
  size_t shard = 0;
  size_t used = 0;
  for (PlannedTensor& tensor : tensors) {
    const auto total = checked_add(used, tensor.bytes);
    if (used > 0 && (!total || *total > max_shard_bytes)) {
      ++shard;
      used = 0;
    }
    used += tensor.bytes;
    tensor.shard = shard;
  }
  return shard + 1;
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

/// Orders one shard's tensors, gives them their offsets and makes the header.
PlannedShard plan_shard(std::vector<PlannedTensor>& tensors, const std::vector<size_t>& members,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<DType> dtypes;
  for (const size_t i : members) dtypes.push_back(tensors[i].dtype);
  std::vector<HeaderEntry> entries;
  size_t begin = 0;
  for (const size_t place : file_order(dtypes)) {
    PlannedTensor& tensor = tensors[members[place]];
    tensor.offset = begin;
    entries.push_back({tensor.name, tensor.dtype, tensor.shape, begin, tensor.bytes});
    begin += tensor.bytes;
  }
  PlannedShard shard{.file_name = {}, .header = header_text(entries, metadata), .file_bytes = 0};
  for (const size_t i : members) tensors[i].offset += shard.header.size();
  shard.file_bytes = shard.header.size() + begin;
  return shard;
}

}  // namespace

CheckpointLayout plan_checkpoint(std::vector<TensorSpec> tensors_in_order, size_t max_shard_bytes,
                                 const std::map<std::string, std::string>& metadata) {
  if (max_shard_bytes == 0) throw_user("the maximum shard size must be at least 1 byte");
  CheckpointLayout layout;
  std::unordered_set<std::string> names;
  for (TensorSpec& spec : tensors_in_order) {
    check_internal(names.insert(spec.name).second, "tensor \"{}\" is planned twice", spec.name);
    layout.tensors.push_back(plan_tensor(std::move(spec)));
    const auto total = checked_add(layout.total_bytes, layout.tensors.back().bytes);
    if (!total) throw_internal("the checkpoint's size overflows");
    layout.total_bytes = *total;
  }
  const size_t count = assign_shards(layout.tensors, max_shard_bytes);
  std::vector<std::vector<size_t>> members(count);
  for (size_t i = 0; i < layout.tensors.size(); ++i) members[layout.tensors[i].shard].push_back(i);
  for (size_t shard = 0; shard < count; ++shard) {
    layout.shards.push_back(plan_shard(layout.tensors, members[shard], metadata));
    layout.shards.back().file_name = shard_name(shard, count);
  }
  return layout;
}

uint64_t CheckpointLayout::hash() const {
  uint64_t hash = 0xcbf29ce484222325u;
  hash_into(hash, fingerprint);
  for (const PlannedShard& shard : shards) {
    hash_into(hash, shard.file_name);
    hash_into(hash, shard.header);
  }
  return hash;
}

std::string CheckpointLayout::index_json() const {
  if (shards.size() == 1) return {};
  nlohmann::json weight_map = nlohmann::json::object();  // sorted by name
  for (const PlannedTensor& tensor : tensors)
    weight_map[tensor.name] = shards[tensor.shard].file_name;
  nlohmann::ordered_json index;
  index["metadata"]["total_size"] = total_bytes;
  index["weight_map"] = std::move(weight_map);
  return dump_json(index, 2) + "\n";
}

}  // namespace lathe::io
