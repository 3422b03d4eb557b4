#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "export/hf_checkpoint/checkpoint_plan.h"
#include "export/hf_checkpoint/output_folder.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// What stands against writing `plan` to `output`; see OutputFolder::problems. Changes nothing.
std::vector<std::string> output_problems(const CheckpointPlan& plan,
                                         const std::filesystem::path& output, ExportMode mode,
                                         bool force);

/// Writes a planned checkpoint, tensor by tensor. All work is done in a folder beside the output
/// ("OUT.lathe-partial") that finish() gives the output's name: readers see a whole checkpoint or
/// none, and what is replaced (force) stays until then.
///
/// Each tensor of the plan is written exactly once: quantized layers by write_quantized, KV scales
/// by write_kv, all others by write_plain; unit by unit, each ended by finish_unit(). In a resumed
/// export the finished units are left out. One thread at a time; packing is parallel inside.
class CheckpointExporter {
 public:
  /// UserError that lists all output_problems, or if the interrupted export had another plan.
  CheckpointExporter(CheckpointPlan plan, const std::filesystem::path& output, ExportMode mode,
                     bool force);
  ~CheckpointExporter();
  CheckpointExporter(CheckpointExporter&&) noexcept;
  CheckpointExporter& operator=(CheckpointExporter&&) noexcept;

  const CheckpointPlan& plan() const;
  /// The folder that is being written.
  const std::filesystem::path& working_folder() const;

  bool unit_finished(std::string_view unit) const;

  /// Packs `weight` [N, K] (float32, bfloat16 or float16) piece by piece and writes it with its
  /// scales. DataError if it has NaN or infinite elements.
  void write_quantized(const std::string& path, const at::Tensor& weight,
                       const LayerValues& values);

  void write_kv(const KvScheme& scheme, const KvValues& values);

  /// A tensor as it is. A floating-point value of another floating-point dtype is converted to the
  /// planned one; InternalError for any other difference.
  void write_plain(const std::string& name, const at::Tensor& value);
  /// The bytes of a tensor, as the checkpoint holds them.
  void write_plain(const std::string& name, std::span<const std::byte> bytes);

  /// A parameter of a fused tensor (CheckpointPlan::find_fused), by its index among them.
  void write_fused(const FusedTensor& fused, size_t index, const at::Tensor& value);

  /// The unit's tensors, all written, are on the disk when this returns.
  void finish_unit(const std::string& unit);

  /// Writes JSON and auxiliary files, reads all tensors back and compares checksums, opens the
  /// checkpoint as readers do and compares it with the plan, and gives the folder its name.
  /// InternalError if a unit is missing, DataError if something reads back differently.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::exporting
