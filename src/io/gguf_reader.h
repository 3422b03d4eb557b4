#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "io/ggml_blocks.h"

namespace lathe::io {

struct GgufArray;

/// A metadata value, with the type that the file gives it.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t,
                               int64_t, float, double, bool, std::string, GgufArray>;

/// An array of one element type.
struct GgufArray {
  std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
               std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
               std::vector<uint64_t>, std::vector<int64_t>, std::vector<float>, std::vector<double>,
               std::vector<bool>, std::vector<std::string>, std::vector<GgufArray>>
      values;

  size_t size() const;
};

/// The typed metadata of a GGUF file. get_*: DataError, with file and key, if the key is absent or
/// of another type; find_*: nothing if it is absent, the same error if it is of another type.
/// Integers of any width are accepted where the value fits.
class GgufMetadata {
 public:
  GgufMetadata(std::string source_name, std::map<std::string, GgufValue, std::less<>> values)
      : source_name_(std::move(source_name)), values_(std::move(values)) {}

  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  bool contains(std::string_view key) const { return values_.find(key) != values_.end(); }

  uint64_t get_u64(std::string_view key) const;
  int64_t get_i64(std::string_view key) const;
  double get_f64(std::string_view key) const;  // float32 or float64
  bool get_bool(std::string_view key) const;
  const std::string& get_string(std::string_view key) const;
  std::vector<int64_t> get_ints(std::string_view key) const;
  std::vector<float> get_floats(std::string_view key) const;
  const std::vector<std::string>& get_strings(std::string_view key) const;

  std::optional<uint64_t> find_u64(std::string_view key) const;
  std::optional<int64_t> find_i64(std::string_view key) const;
  std::optional<double> find_f64(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;
  std::optional<std::vector<int64_t>> find_ints(std::string_view key) const;
  std::optional<std::vector<float>> find_floats(std::string_view key) const;

 private:
  const GgufValue& at(std::string_view key) const;

  std::string source_name_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

/// A tensor's description; offsets and sizes are checked against the file.
struct GgufTensorInfo {
  std::string name;
  GgmlType type;
  std::vector<int64_t>
      shape;      // row-major, as everywhere in Lathe: [N, K], the reverse of the file's order
  size_t offset;  // from the start of the file
  size_t bytes;
};

struct GgufHeader {
  uint32_t version;  // 2 or 3
  size_t alignment;
  GgufMetadata metadata;
  std::vector<GgufTensorInfo> tensors;  // in the file's order
};

/// Parses the bytes of a whole little-endian GGUF file, version 2 or 3. DataError if it is
/// malformed, of another version, big-endian, or has a tensor of a type that is not in GgmlType.
GgufHeader parse_gguf(std::span<const std::byte> file, std::string_view source_name);

/// A mapped GGUF file.
class GgufFile {
 public:
  /// UserError if it cannot be opened, DataError if it is malformed.
  static GgufFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  uint32_t version() const { return header_.version; }
  const GgufMetadata& metadata() const { return header_.metadata; }
  const std::vector<GgufTensorInfo>& tensors() const { return header_.tensors; }

  /// nullptr if there is no such tensor.
  const GgufTensorInfo* find(std::string_view name) const;
  /// DataError that names file and tensor if there is none.
  const GgufTensorInfo& at(std::string_view name) const;
  /// The tensor's blocks.
  std::span<const std::byte> data(const GgufTensorInfo& tensor) const;

 private:
  GgufFile(std::shared_ptr<const MappedFile> file, GgufHeader header);

  std::shared_ptr<const MappedFile> file_;
  GgufHeader header_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace lathe::io
