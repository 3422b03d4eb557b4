#include "io/shard_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lathe::io {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHintBytes = size_t{16} << 20;

[[noreturn]] void throw_errno(const fs::path& path, std::string_view action) {
  throw_user("{}: cannot {}: {}", path.string(), action, std::strerror(errno));
}

size_t free_bytes(const fs::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) throw_errno(folder, "ask for free space");
  return static_cast<size_t>(status.f_bavail) * status.f_frsize;
}

[[noreturn]] void throw_disk_full(const fs::path& path, size_t needed, size_t available) {
  throw_user("{}: the disk is full: {} bytes are needed, {} are available", path.string(), needed,
             available);
}

/// Reserves the blocks; where the file system cannot, the file is only given its size.
void allocate(int fd, const fs::path& path, size_t bytes) {
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0) return;
  if (errno == ENOSPC) throw_disk_full(path, bytes, free_bytes(path.parent_path()));
  if (errno != EOPNOTSUPP && errno != ENOSYS) throw_errno(path, "allocate");
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) throw_errno(path, "allocate");
}

void pwrite_all(int fd, const fs::path& path, size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      throw_errno(path, "write");
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<size_t>(count);
  }
}

[[noreturn]] void throw_other_run(const fs::path& path) {
  throw_user("{}: cannot resume: size or header are not those of the interrupted run",
             path.string());
}

}  // namespace

ShardFile::ShardFile(fs::path path, int fd, bool partial)
    : path_(std::move(path)), fd_(fd), partial_(partial) {}

ShardFile::ShardFile(ShardFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), partial_(other.partial_) {}

ShardFile::~ShardFile() {
  if (fd_ >= 0) ::close(fd_);
}

fs::path ShardFile::partial_path(const fs::path& path) {
  fs::path partial = path;
  partial += ".partial";
  return partial;
}

ShardFile ShardFile::create(fs::path path, size_t file_bytes) {
  const fs::path partial = partial_path(path);
  const int fd = ::open(partial.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) throw_errno(partial, "create");
  ShardFile file(std::move(path), fd, true);
  allocate(fd, partial, file_bytes);
  return file;
}

ShardFile ShardFile::reopen(fs::path path, size_t file_bytes) {
  const bool partial = fs::exists(partial_path(path));
  const fs::path current = partial ? partial_path(path) : path;
  const int fd = ::open(current.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw_errno(current, "resume");
  ShardFile file(std::move(path), fd, partial);
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno(current, "stat");
  if (static_cast<size_t>(status.st_size) != file_bytes) throw_other_run(current);
  return file;
}

void ShardFile::expect(size_t offset, std::span<const std::byte> bytes) const {
  std::vector<std::byte> found(bytes.size());
  const ssize_t count = ::pread(fd_, found.data(), found.size(), static_cast<off_t>(offset));
  if (count < 0) throw_errno(current_path(), "read");
  if (static_cast<size_t>(count) != bytes.size() || !std::ranges::equal(found, bytes))
    throw_other_run(current_path());
}

void ShardFile::write(size_t offset, std::span<const std::byte> bytes) const {
  pwrite_all(fd_, current_path(), offset, bytes);
  // A hint, so that dirty pages do not pile up: sync() reports what goes wrong. A hint for each
  // piece would write pages at the borders of pieces several times.
  if (unhinted_.fetch_add(bytes.size()) + bytes.size() < kHintBytes) return;
  unhinted_ = 0;
  ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void ShardFile::sync() const {
  if (::fdatasync(fd_) != 0) throw_errno(current_path(), "sync");
}

void ShardFile::finish() {
  if (::fsync(fd_) != 0) throw_errno(current_path(), "sync");
  if (!partial_) return;
  if (::rename(partial_path(path_).c_str(), path_.c_str()) != 0) throw_errno(path_, "finish");
  partial_ = false;
}

void check_disk_space(const fs::path& folder, size_t bytes) {
  const size_t available = free_bytes(folder);
  if (available < bytes) throw_disk_full(folder, bytes, available);
}

}  // namespace lathe::io
