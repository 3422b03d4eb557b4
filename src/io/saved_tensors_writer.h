#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/zip_writer.h"
#include "lathe/dtype.h"

namespace lathe::io {

/// Memory that tensors of a file of torch.save are views of.
struct StorageToSave {
  uint64_t bytes;
  std::function<void(const ByteSink&)> write;  // all of them, once
};

/// A tensor of a file of torch.save.
struct TensorToSave {
  std::string name;
  DType dtype;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  // in elements
  int64_t offset = 0;            // in elements
  size_t storage = 0;            // index
  bool is_parameter = false;
  bool requires_grad = false;
  std::string device = "cpu";
};

/// Writes what torch.save writes of a dict of named tensors, storage by storage.
void write_saved_tensors(const std::vector<TensorToSave>& tensors,
                         const std::vector<StorageToSave>& storages, const ByteSink& sink);

}  // namespace lathe::io
