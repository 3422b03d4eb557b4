#include "cli/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "lathe/error.h"

namespace lathe::cli {
namespace {

/// A file under a temporary name; removed unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target)
      : target_(target), path_(fmt::format("{}.tmp.{}", target, ::getpid())) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(fd_ >= 0, "create");
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!renamed_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      check(written >= 0, "write");
      text.remove_prefix(static_cast<size_t>(written));
    }
    check(::fsync(fd_) == 0, "sync");
  }

  void rename() {
    check(::rename(path_.c_str(), target_.c_str()) == 0, "rename");
    renamed_ = true;
  }

 private:
  void check(bool ok, std::string_view action) const {
    if (ok) return;
    const std::string reason = std::strerror(errno);
    throw UserError(fmt::format("{}: cannot {}: {}", target_, action, reason));
  }

  std::string target_;
  std::string path_;
  int fd_ = -1;
  bool renamed_ = false;
};

}  // namespace

void write_text_file(const std::string& path, std::string_view text) {
  TemporaryFile file(path);
  file.write(text);
  file.rename();
}

void check_may_write(const std::string& path, bool force, std::string_view option) {
  std::error_code
      ignored;  // what cannot be looked at will fail when it is written, with the reason
  if (force || !std::filesystem::exists(path, ignored)) return;
  throw UserError(fmt::format("{} {}: exists already; --force replaces it", option, path));
}

}  // namespace lathe::cli
