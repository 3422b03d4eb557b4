#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "frontends/torch_export/program.h"
#include "io/saved_tensors.h"

namespace lathe::frontends::torch_export {

using io::StoredView;

/// A .pt2 archive, read: the program and its tensors, whose bytes stay in the mapped file.
struct Archive {
  std::string source_name;
  Program program;
  std::vector<StoredView> weights;    // parameters and persistent buffers, in the source's order
  std::vector<StoredView> constants;  // constants and buffers that are not saved

  /// What the signature names: a weight, else a constant. Null if there is none.
  const StoredView* find(const std::string& name) const;
};

/// Reads a .pt2 of torch.export.save: the archive of torch 2.8 and later (models/*.json,
/// data/weights), or that of 2.6 and 2.7 (serialized_exported_program.json and pickled tensors).
/// UserError if the file cannot be opened; DataError if it is broken, of another kind, or holds
/// more than one model.
Archive read_archive(const std::filesystem::path& path);
/// The same for an archive in memory, which the caller keeps alive.
Archive read_archive(std::span<const std::byte> bytes, const std::string& source_name);

}  // namespace lathe::frontends::torch_export
