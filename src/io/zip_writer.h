#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::io {

/// Takes bytes in order, in pieces of any size.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Writes a zip archive as torch does: stored entries whose data begin at multiples of 64 bytes,
/// with their checksums behind them, so that nothing is held or written twice. zip64 where it is
/// needed. Same entries, same bytes.
class ZipWriter {
 public:
  /// Offsets count from where `sink` begins.
  explicit ZipWriter(ByteSink sink) : sink_(std::move(sink)) {}

  /// Begins an entry of `bytes` bytes; of any number if nothing is said. The one before is
  /// complete.
  void begin(std::string_view name, std::optional<uint64_t> bytes);
  void write(std::span<const std::byte> bytes);
  /// A whole entry.
  void add(std::string_view name, std::span<const std::byte> bytes);
  void add(std::string_view name, std::string_view text);

  /// Writes the directory. InternalError here or at begin() if an entry has other than its bytes.
  void finish();

  uint64_t bytes_written() const { return offset_; }
  size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    std::string name;
    uint64_t header_offset;
    uint64_t bytes;
    uint32_t crc;
    bool wide;  // sizes of 64 bits
  };
  void put(std::string_view record);
  void end_entry();
  std::string local_header(const Entry& entry) const;

  ByteSink sink_;
  uint64_t offset_ = 0;
  std::vector<Entry> entries_;
  std::optional<uint64_t> expected_;
  bool open_ = false;
};

}  // namespace lathe::io
