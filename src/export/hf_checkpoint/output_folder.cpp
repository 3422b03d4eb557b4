#include "export/hf_checkpoint/output_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/output_file.h"
#include "base/progress.h"
#include "io/checkpoint_writer.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kStatBlock = 512;
constexpr std::string_view kCompleteMark = "lathe-export.complete";

std::string mark_text(uint64_t plan_hash) { return fmt::format("{:016x}\n", plan_hash); }

/// Runs `function`; an error of the file system becomes a UserError, which names the path.
template <typename Function>
auto with_user_errors(const Function& function) {
  try {
    return function();
  } catch (const fs::filesystem_error& error) {
    throw_user("{}: {}", error.path1().string(), error.code().message());
  }
}

fs::path resolve(const fs::path& output) {
  if (output.empty()) throw_user("the output folder has no name");
  const fs::path path =
      with_user_errors([&] { return fs::weakly_canonical(fs::absolute(output)); });
  return path.has_filename() ? path : path.parent_path();
}

fs::path with_suffix(fs::path path, std::string_view suffix) {
  path += suffix;
  return path;
}

/// The folder itself or the nearest one above it that exists.
fs::path existing_ancestor(fs::path folder) {
  std::error_code error;
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

/// Bytes on the disk of the files in a folder; 0 if there is none.
uint64_t allocated_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * kStatBlock;
    }
  }
  return bytes;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

bool is_occupied(const fs::path& path) {
  return with_user_errors([&] { return fs::exists(path) && !fs::is_empty(path); });
}

bool is_model_file(const fs::path& file) {
  return file.filename() == "config.json" || file.extension() == ".safetensors";
}

/// Why a folder that has something in it must not be replaced; "" if it may be. With `force` too
/// only what looks like a checkpoint is removed.
std::string occupied_problem(const fs::path& folder, bool force) {
  if (!force) return fmt::format("{}: exists already; --force replaces it", folder.string());
  bool model = false;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) {
      return fmt::format("{}: not replaced, since it holds a folder ({}), which no export makes",
                         folder.string(), entry.path().filename().string());
    }
    model |= is_model_file(entry.path());
  }
  if (model) return {};
  return fmt::format("{}: not replaced, since it holds no model", folder.string());
}

/// Whether an export was interrupted after it had finished a unit.
bool holds_work(const fs::path& partial) {
  std::error_code error;
  return io::CheckpointWriter::can_resume(partial) || fs::exists(partial / kCompleteMark, error);
}

[[noreturn]] void throw_rename(const fs::path& from, const fs::path& to) {
  throw_user("{}: cannot rename to {}: {}", from.string(), to.string(), std::strerror(errno));
}

void rename_folder(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_rename(from, to);
}

void remove_path(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_user("{}: cannot remove: {}", path.string(), error.message());
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& output)
    : path_(resolve(output)), partial_(with_suffix(path_, ".lathe-partial")) {}

std::vector<std::string> OutputFolder::existing_problems(const fs::path& source, bool force) const {
  return with_user_errors([&]() -> std::vector<std::string> {
    if (!fs::exists(path_)) return {};
    if (!fs::is_directory(path_)) {
      return {fmt::format("{}: exists and is no folder", path_.string())};
    }
    if (!source.empty() && is_inside(fs::weakly_canonical(fs::absolute(source)), path_)) {
      return {fmt::format("{}: holds the model that is exported", path_.string())};
    }
    std::string problem = is_occupied(path_) ? occupied_problem(path_, force) : std::string();
    if (problem.empty()) return {};
    return {std::move(problem)};
  });
}

std::vector<std::string> OutputFolder::problems(const fs::path& source, uint64_t required_bytes,
                                                ExportMode mode, bool force) const {
  std::vector<std::string> found = existing_problems(source, force);
  if (mode == ExportMode::kFresh && !force && holds_work(partial_)) {
    found.push_back(fmt::format(
        "{}: an interrupted export is there; --resume continues it, --force starts again",
        partial_.string()));
  }
  const fs::path parent = existing_ancestor(path_.parent_path());
  if (!fs::is_directory(parent)) {
    found.push_back(fmt::format("{}: is no folder", parent.string()));
  } else if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    found.push_back(
        fmt::format("{}: cannot be written to: {}", parent.string(), std::strerror(errno)));
  }
  if (std::string full = disk_space_problem(parent, required_bytes, allocated_bytes(partial_));
      !full.empty()) {
    found.push_back(std::move(full));
  }
  return found;
}

void OutputFolder::clear_partial() const { remove_path(partial_); }

void OutputFolder::mark_complete(uint64_t plan_hash) const {
  write_file(partial_ / kCompleteMark, mark_text(plan_hash));
}

bool OutputFolder::is_complete(uint64_t plan_hash) const {
  const fs::path mark = partial_ / kCompleteMark;
  std::error_code error;
  return fs::exists(mark, error) && read_file(mark) == mark_text(plan_hash);
}

void OutputFolder::publish(bool force) const {
  const bool replaces = is_occupied(path_);
  // It may have come into being since the export began.
  const std::string problem = replaces ? occupied_problem(path_, force) : std::string();
  if (!problem.empty()) {
    throw_user("{}; the export is complete in {} and can be resumed", problem, partial_.string());
  }
  if (!replaces) {
    rename_folder(partial_, path_);
  } else if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) ==
             0) {
    remove_path(partial_);
  } else {  // a file system that cannot exchange
    const fs::path old = with_suffix(path_, ".lathe-old");
    rename_folder(path_, old);
    rename_folder(partial_, path_);
    remove_path(old);
  }
  remove_path(path_ / kCompleteMark);  // last: until here an interrupted export can be resumed
  sync_folder(path_.parent_path());
}

std::string disk_space_problem(const fs::path& folder, uint64_t required, uint64_t reusable) {
  std::error_code error;
  const fs::space_info space = fs::space(existing_ancestor(folder), error);
  if (error) return fmt::format("{}: {}", folder.string(), error.message());
  const uint64_t available = space.available + reusable;
  if (required <= available) return {};
  return fmt::format("{}: the checkpoint needs {} bytes ({}), the disk has {} ({})",
                     folder.string(), required, format_bytes(static_cast<double>(required)),
                     available, format_bytes(static_cast<double>(available)));
}

}  // namespace lathe::exporting
