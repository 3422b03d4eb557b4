#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lathe::io {

/// A finished unit: its name, and the CRC-32C of each of its tensors.
struct JournalUnit {
  std::string name;
  std::map<std::string, uint32_t> checksums;
};

/// The record of finished units beside the shards: one JSON object a line, the first with the
/// layout's hash.
class CheckpointJournal {
 public:
  static std::filesystem::path path_in(const std::filesystem::path& folder);

  /// The units that a journal records. A last line that was torn by a crash is dropped; UserError
  /// if the journal is of another layout, DataError if another line is malformed.
  static std::vector<JournalUnit> read(const std::filesystem::path& folder, uint64_t layout_hash);

  /// Writes a journal with these units, atomically, in place of any other.
  CheckpointJournal(const std::filesystem::path& folder, uint64_t layout_hash,
                    const std::vector<JournalUnit>& units);
  ~CheckpointJournal();
  CheckpointJournal(const CheckpointJournal&) = delete;
  CheckpointJournal& operator=(const CheckpointJournal&) = delete;

  /// Appends a line; it is on the disk when this returns. One thread at a time.
  void append(const JournalUnit& unit);
  void remove();

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace lathe::io
