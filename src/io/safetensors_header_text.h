#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::io {

/// What one tensor's entry in a header says; `begin` counts from the start of the data.
struct HeaderEntry {
  std::string_view name;
  DType dtype;
  std::span<const int64_t> shape;
  size_t begin;
  size_t bytes;
};

/// A JSON string.
std::string json_string(std::string_view text);

/// Bytes of a tensor; InternalError for a negative or overflowing shape.
size_t tensor_bytes(std::string_view name, DType dtype, std::span<const int64_t> shape);

/// The order of tensors in a file: by element size, largest first, so that each is aligned to its
/// element without padding (the format allows none); otherwise as given. Returns indices into
/// `dtypes`.
std::vector<size_t> file_order(std::span<const DType> dtypes);

/// What the JSON begins with: "{" and the metadata, if there is any.
std::string header_start(const std::map<std::string, std::string>& metadata);
/// Adds an entry; `has_members`: something but "{" is before it.
void append_entry(std::string& text, const HeaderEntry& entry, bool has_members);
/// The 8 bytes before JSON of this length. UserError if the format does not allow it.
std::string length_prefix(uint64_t length);

/// Length prefix and JSON, padded with spaces to a multiple of 8 bytes. Entries in the order of the
/// file.
std::string header_text(const std::vector<HeaderEntry>& entries,
                        const std::map<std::string, std::string>& metadata);

}  // namespace lathe::io
