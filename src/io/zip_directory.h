#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::io {

/// An entry of a zip archive's central directory, and where its local header is.
struct ZipDirectoryEntry {
  std::string_view name;
  uint64_t header_offset;
};

/// Reads the central directory (PKWARE APPNOTE 4.3.12, zip64: 4.3.14): libzip does not tell where
/// an entry's bytes lie. DataError if it is malformed.
std::vector<ZipDirectoryEntry> read_zip_directory(std::span<const std::byte> archive,
                                                  std::string_view source_name);

/// Where an entry's bytes begin: behind its local header, which must have the same name.
size_t zip_data_offset(std::span<const std::byte> archive, const ZipDirectoryEntry& entry,
                       std::string_view source_name);

}  // namespace lathe::io
