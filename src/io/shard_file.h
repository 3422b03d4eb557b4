#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lathe::io {

/// A shard that is being written, under its name with ".partial" behind it until finish().
class ShardFile {
 public:
  /// Allocates the file at full size. UserError if the disk lacks the bytes.
  static ShardFile create(std::filesystem::path path, size_t file_bytes);
  /// Opens a shard of an interrupted run, whether it was already renamed or not. UserError if it is
  /// missing or its size is not as planned.
  static ShardFile reopen(std::filesystem::path path, size_t file_bytes);
  /// UserError if the file has other bytes at `offset`: it is not that of the interrupted run.
  void expect(size_t offset, std::span<const std::byte> bytes) const;
  /// The name of an unfinished shard.
  static std::filesystem::path partial_path(const std::filesystem::path& path);

  ~ShardFile();
  ShardFile(ShardFile&& other) noexcept;
  ShardFile& operator=(ShardFile&&) = delete;

  /// Where the file is now.
  std::filesystem::path current_path() const { return partial_ ? partial_path(path_) : path_; }

  /// Writes, and now and then starts the write-back, without waiting for it. Any thread.
  void write(size_t offset, std::span<const std::byte> bytes) const;
  /// Waits until what was written is on the disk. Any thread.
  void sync() const;
  /// Syncs and gives the file its name.
  void finish();

 private:
  ShardFile(std::filesystem::path path, int fd, bool partial);

  std::filesystem::path path_;
  int fd_;
  bool partial_;
  mutable std::atomic<size_t> unhinted_ = 0;  // bytes written since the last hint
};

/// UserError, naming both numbers, if `folder`'s disk has less than `bytes` free.
void check_disk_space(const std::filesystem::path& folder, size_t bytes);

}  // namespace lathe::io
