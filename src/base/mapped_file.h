#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace lathe {

/// A file mapped read-only. Shared: slices keep it alive. The pages are the page cache's, not
/// anonymous memory.
class MappedFile {
 public:
  /// Throws UserError if the file cannot be opened (with the reason) or is no regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Asks the kernel to read the range ahead; returns at once.
  void will_need(size_t offset, size_t length) const;
  /// The range's pages may leave this process's resident set (they stay in the page cache).
  void release(size_t offset, size_t length) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size);
  void advise(size_t offset, size_t length, int advice) const;

  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace lathe
