#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::exporting {

/// Whether an export starts from nothing or continues an interrupted one (and starts if there is
/// none).
enum class ExportMode { kFresh, kResume };

/// The folder that an export makes, and the one beside it ("OUT.lathe-partial") in which it works
/// until all is done.
class OutputFolder {
 public:
  /// Follows symbolic links; nothing need exist.
  explicit OutputFolder(const std::filesystem::path& output);

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& partial() const { return partial_; }

  /// What stands against making it: it exists (and `force` is not given, or it is no checkpoint),
  /// it holds the model `source`, an unfinished export is there (and is neither resumed nor, with
  /// `force`, thrown away), it cannot be written to, the disk lacks `required_bytes`. Looks, and
  /// changes nothing.
  std::vector<std::string> problems(const std::filesystem::path& source, uint64_t required_bytes,
                                    ExportMode mode, bool force) const;

  /// Removes the working folder of an earlier run, if there is one.
  void clear_partial() const;

  /// Says in the working folder that all tensors of the plan with this hash are written and
  /// verified: an export that is interrupted after its journal is gone can still be resumed.
  void mark_complete(uint64_t plan_hash) const;
  bool is_complete(uint64_t plan_hash) const;

  /// Gives the working folder its name. With `force` what had the name before is replaced in one
  /// step and then removed; UserError if there is something without it.
  void publish(bool force) const;

 private:
  std::vector<std::string> existing_problems(const std::filesystem::path& source, bool force) const;

  std::filesystem::path path_;
  std::filesystem::path partial_;
};

/// Why `required` bytes cannot be written below `folder` (which need not exist), naming both
/// numbers; "" if they can. `reusable` bytes on that disk will be freed or are allocated already.
std::string disk_space_problem(const std::filesystem::path& folder, uint64_t required,
                               uint64_t reusable);

}  // namespace lathe::exporting
