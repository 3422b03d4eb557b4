#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/checkpoint_layout.h"

namespace lathe::io {

/// What CheckpointWriter does with a checkpoint that is already in the folder.
enum class ExistingCheckpoint { kRefuse, kReplace };

/// Writes a planned safetensors checkpoint, tensor by tensor, from any thread, in any order.
///
/// Shards are allocated at full size at once (a full disk is found before any work) as NAME.partial
/// and renamed by finish(). Every tensor must be written completely and exactly once: anything else
/// is an InternalError.
///
/// A unit is what is resumed: a block of layers, say. finish_unit() makes its tensors durable and
/// records them, with their checksums, in a journal in the folder. resume() continues after the
/// recorded units.
class CheckpointWriter {
 public:
  /// Starts a checkpoint; the folder is created if need be. UserError if it holds
  /// model*.safetensors files and `existing` is kRefuse (kReplace removes them: `folder`
  /// must not be the one that is read from), or if the disk lacks the bytes.
  CheckpointWriter(std::filesystem::path folder, std::shared_ptr<const CheckpointLayout> layout,
                   ExistingCheckpoint existing = ExistingCheckpoint::kRefuse);

  /// Continues an interrupted checkpoint; starts one if the folder has no journal and no
  /// checkpoint. UserError if the journal is of another layout. Units whose tensors do not match
  /// their recorded checksums are not finished.
  static CheckpointWriter resume(std::filesystem::path folder,
                                 std::shared_ptr<const CheckpointLayout> layout);

  /// True if `folder` holds the journal of an unfinished checkpoint.
  static bool can_resume(const std::filesystem::path& folder);

  ~CheckpointWriter();
  CheckpointWriter(CheckpointWriter&&) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&&) noexcept;

  const CheckpointLayout& layout() const;

  /// A whole tensor.
  void write(std::string_view name, std::span<const std::byte> bytes);
  /// A piece of a tensor, at `offset` bytes from its start.
  void write(std::string_view name, size_t offset, std::span<const std::byte> bytes);

  /// Records that the unit's tensors, all written, are final. They are on disk when this returns.
  void finish_unit(const std::string& unit, const std::vector<std::string_view>& tensor_names);
  /// Recorded units, in the order in which they were finished.
  const std::vector<std::string>& finished_units() const;
  bool unit_finished(std::string_view unit) const;
  /// True if all of the tensor's bytes are written (in this run or in a resumed unit).
  bool tensor_written(std::string_view name) const;

  /// Checks that every tensor is written, syncs, gives the files their names, writes the index,
  /// removes the journal.
  void finish();

  /// Reads every written tensor back and compares checksums; DataError that names tensor and file
  /// if one differs. After finish() it reads the files under their final names.
  void verify() const;

 private:
  struct State;
  explicit CheckpointWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lathe::io
