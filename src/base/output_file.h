#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lathe {

/// A file that is written under a temporary name beside its own and renamed by commit(): readers
/// see all of it or nothing. Without commit() the temporary file is removed. Errors (a full disk)
/// are UserErrors that name the file.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  size_t size() const { return size_; }

  /// Syncs to disk and renames.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  size_t size_ = 0;
};

/// Removes what OutputFile left in `folder` when its process was killed. No other process may be
/// writing there.
void remove_abandoned_files(const std::filesystem::path& folder);

/// Writes a whole small file atomically.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Reads a whole file; UserError if it cannot be read, DataError if it is larger than `limit`
/// bytes.
std::string read_file(const std::filesystem::path& path, size_t limit = size_t{1} << 30);

/// write(2) until all is written; `path` only names the file in errors.
void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path);

/// Makes renames and new files inside `folder` durable.
void sync_folder(const std::filesystem::path& folder);

}  // namespace lathe
