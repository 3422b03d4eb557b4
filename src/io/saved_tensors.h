#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/zip.h"
#include "lathe/dtype.h"

namespace lathe::io {

/// Bytes and what keeps them alive.
struct Bytes {
  std::span<const std::byte> view;
  std::shared_ptr<const void> owner;
};

/// An entry's bytes: a slice of the mapped archive if it is stored, else a copy. DataError if a
/// copy would be larger than `limit`.
Bytes entry_bytes(const ZipArchive& archive, const ZipEntry& entry, size_t limit);

/// A tensor of an archive: a view of a storage's bytes.
struct StoredView {
  std::string name;
  std::string file;  // for messages
  DType dtype;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  // in elements
  int64_t offset = 0;            // in elements
  Bytes storage;
  size_t storage_id = 0;  // the same for tensors that share memory
  bool is_parameter = false;
  bool requires_grad = false;
  std::string device = "cpu";  // where it was
};

/// DataError if the view has negative numbers or leaves its storage.
void check_view(const StoredView& view);

/// The class of storages of a dtype that torch.save names, "FloatStorage"; "" if there is none.
std::string_view torch_storage_type(DType dtype);

/// Reads a file of torch.save that holds a dict of named tensors, or one tensor (called ""), from
/// the zip archive in `file`. DataError for anything else.
std::vector<StoredView> read_saved_tensors(const Bytes& file, const std::string& source_name);

}  // namespace lathe::io
