#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "lathe/dtype.h"

namespace lathe::io {

/// A tensor in a safetensors file: its bytes are a slice of the mapped file (row-major, little
/// endian, not necessarily aligned to the element).
struct TensorEntry {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::shared_ptr<const MappedFile> file;
  size_t offset;  // of the first byte, from the start of the file
  size_t bytes;

  std::span<const std::byte> data() const { return file->bytes().subspan(offset, bytes); }
};

/// What the header of a safetensors file says; offsets and sizes are checked against the file.
struct SafetensorsHeader {
  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    size_t offset;  // from the start of the file
    size_t bytes;
  };
  std::vector<Tensor> tensors;                  // by offset
  std::map<std::string, std::string> metadata;  // __metadata__
};

/// Headers above this are refused, as the format's own library does.
inline constexpr size_t kMaxSafetensorsHeader = 100'000'000;

/// Parses and checks the header of `file` (the bytes of a whole safetensors file): the tensors must
/// cover the data exactly, without overlap or hole, and each must have the size that its dtype and
/// shape give. DataError otherwise; `source_name` names the file in it.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view source_name);

/// One safetensors file. Move-only: the index refers to the names of the tensors.
class SafetensorsFile {
 public:
  /// Maps the file and checks its header. UserError if it cannot be opened, DataError if it is
  /// malformed.
  static SafetensorsFile open(const std::filesystem::path& path);

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  const std::filesystem::path& path() const { return file_->path(); }
  /// By offset in the file.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// nullptr if there is no such tensor.
  const TensorEntry* find(std::string_view name) const;
  /// DataError that names file and tensor if there is none.
  const TensorEntry& at(std::string_view name) const;

 private:
  friend class SafetensorsCheckpoint;
  SafetensorsFile() = default;
  /// Without the index.
  static SafetensorsFile load(const std::filesystem::path& path);

  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> index_;
};

/// All tensors of a checkpoint folder. Move-only, as SafetensorsFile.
class SafetensorsCheckpoint {
 public:
  /// `path`: a folder with model.safetensors, or model.safetensors.index.json and its shards (in
  /// the folder or folders below it), or exactly one *.safetensors file; or the path of one such
  /// file. UserError if none is found; DataError if a
  /// file is malformed or index and shards do not agree.
  static SafetensorsCheckpoint open(const std::filesystem::path& path);

  SafetensorsCheckpoint(SafetensorsCheckpoint&&) = default;
  SafetensorsCheckpoint& operator=(SafetensorsCheckpoint&&) = default;

  const std::filesystem::path& path() const { return path_; }
  /// By file name, then by offset in the file.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// The files, by name.
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  /// __metadata__ of the first file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Of all tensors, without headers.
  size_t total_bytes() const { return total_bytes_; }

  /// nullptr if there is no such tensor.
  const TensorEntry* find(std::string_view name) const;
  /// DataError that names folder and tensor if there is none.
  const TensorEntry& at(std::string_view name) const;

 private:
  SafetensorsCheckpoint() = default;
  void add_file(SafetensorsFile file);
  void build_index();
  void check_against_index(const std::map<std::string, std::string>& weight_map);

  std::filesystem::path path_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> index_;
  size_t total_bytes_ = 0;
};

}  // namespace lathe::io
