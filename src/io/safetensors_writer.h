#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::io {

/// A tensor in memory: row-major, little endian bytes.
struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes one safetensors file atomically, tensors ordered by element size (largest first, so that
/// each is aligned), then as given. Same input, same bytes. For small files; a checkpoint is
/// written by CheckpointWriter.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace lathe::io
