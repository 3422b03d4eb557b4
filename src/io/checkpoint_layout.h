#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::io {

struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

struct PlannedTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  size_t shard;   // index into CheckpointLayout::shards
  size_t offset;  // from the start of the shard file
  size_t bytes;
};

struct PlannedShard {
  std::string file_name;
  std::vector<size_t> order;  // its tensors (indices), as they lie in the file
  size_t header_bytes;
  size_t file_bytes;  // header and tensors
};

/// Where every byte of a safetensors checkpoint will lie, before any of it is computed.
struct CheckpointLayout {
  std::vector<PlannedTensor> tensors;  // in the order that plan_checkpoint was given
  std::vector<PlannedShard> shards;
  size_t total_bytes = 0;  // of all tensors, without headers
  /// What else must be equal for a resumed run (source, recipe); free text, part of hash().
  std::string fingerprint;
  std::map<std::string, std::string> metadata;  // of each file

  /// What a shard's file begins with: length prefix and JSON, padded to a multiple of 8 bytes. It
  /// may be as large as the tensors: made when it is asked for, and given in pieces.
  void make_header(const PlannedShard& shard,
                   const std::function<void(std::string_view)>& take) const;

  /// Null if there is none of this name.
  const PlannedTensor* find(std::string_view name) const;
  /// For find(): by the name's hash, 1 + the place of the tensor.
  std::vector<uint32_t> slots;

  /// Changes with any name, dtype, shape, place, file name or the fingerprint.
  uint64_t hash() const;
  /// model.safetensors.index.json; empty for a single shard, which needs none.
  std::string index_json() const;
};

/// Distributes tensors over shards in the given order: a shard is closed when the next tensor would
/// take it above `max_shard_bytes` of tensor data, so a tensor larger than that gets a shard of its
/// own. Files are called model.safetensors if there is one, else model-00001-of-0000n.safetensors.
/// Inside a shard tensors are ordered by element size, largest first, then as given: each is
/// aligned to its element. UserError for max_shard_bytes = 0; InternalError for a name given twice
/// or a negative shape.
CheckpointLayout plan_checkpoint(std::vector<TensorSpec> tensors_in_order, size_t max_shard_bytes,
                                 const std::map<std::string, std::string>& metadata = {
                                     {"format", "pt"}});

}  // namespace lathe::io
