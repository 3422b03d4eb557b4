#include "base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace lathe {
namespace {

[[noreturn]] void throw_errno(const std::filesystem::path& path, std::string_view action) {
  const int error = errno;
  const char* hint = error == ENOSPC ? " (the disk is full)" : "";
  throw_user("{}: cannot {}: {}{}", path.string(), action, std::strerror(error), hint);
}

constexpr std::string_view kTemporaryMark = ".tmp.";  // a process id follows

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  std::filesystem::path name = path.filename();
  name += fmt::format("{}{}", kTemporaryMark, ::getpid());
  return path.parent_path() / name;
}

bool is_temporary(std::string_view name) {
  const size_t mark = name.rfind(kTemporaryMark);
  if (mark == std::string_view::npos) return false;
  const std::string_view process = name.substr(mark + kTemporaryMark.size());
  return !process.empty() && process.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(temporary_beside(path_)) {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw_errno(temporary_, "create");
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, bytes, temporary_);
  size_ += bytes.size();
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::commit() {
  if (::fsync(fd_) != 0) throw_errno(temporary_, "sync");
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    errno = error;
    throw_errno(path_, "finish");
  }
}

void remove_abandoned_files(const std::filesystem::path& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!is_temporary(entry.path().filename().string())) continue;
    if (::unlink(entry.path().c_str()) != 0) throw_errno(entry.path(), "remove");
  }
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno(path, "write");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

std::string read_file(const std::filesystem::path& path, size_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_errno(path, "open");
  std::string text;
  char buffer[1 << 16];
  ssize_t count = 0;
  while ((count = ::read(fd, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 || text.size() + static_cast<size_t>(count) > limit) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  if (count < 0) throw_errno(path, "read");
  if (count > 0) throw_data("{}: larger than {} bytes", path.string(), limit);
  return text;
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_errno(folder, "open");
  const int result = ::fsync(fd);
  ::close(fd);
  if (result != 0) throw_errno(folder, "sync");
}

}  // namespace lathe
