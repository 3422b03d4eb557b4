#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::io {

struct ZipEntry {
  std::string name;
  size_t index;
  uint64_t bytes;             // uncompressed
  uint64_t compressed_bytes;  // in the archive
  bool stored;                // not compressed
};

/// A zip archive (zip64 too; stored or deflated entries), read-only. Not thread-safe, but for
/// entries() and find().
class ZipArchive {
 public:
  /// UserError if it cannot be opened, DataError if it is no valid zip archive or has an entry name
  /// twice.
  static ZipArchive open(const std::filesystem::path& path);
  /// An archive in memory, which the caller keeps alive.
  static ZipArchive from_bytes(std::span<const std::byte> archive, std::string source_name);

  ~ZipArchive();
  ZipArchive(ZipArchive&&) noexcept;
  ZipArchive& operator=(ZipArchive&&) noexcept;

  const std::string& source_name() const;
  /// In the order of the archive's directory.
  const std::vector<ZipEntry>& entries() const;
  /// nullptr if there is no such entry.
  const ZipEntry* find(std::string_view name) const;

  /// A whole entry, its CRC checked. DataError if it is larger than `limit`, damaged, encrypted or
  /// of an unknown compression.
  std::vector<std::byte> read(const ZipEntry& entry, size_t limit) const;
  /// The same in pieces, without holding the whole entry.
  void stream(const ZipEntry& entry, size_t limit,
              const std::function<void(std::span<const std::byte>)>& consume) const;

  /// The bytes of a stored entry as a slice of the mapped archive (valid as long as owner() lives),
  /// its CRC not checked; nothing if it is compressed.
  std::optional<std::span<const std::byte>> stored_bytes(const ZipEntry& entry) const;
  /// Keeps the slices alive; null for from_bytes.
  std::shared_ptr<const void> owner() const;

 private:
  struct State;
  explicit ZipArchive(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lathe::io
