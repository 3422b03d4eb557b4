#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ir/model.h"

namespace lathe::exporting {

/// A file beside the weights: `contents`, or a copy of `source` if that is not empty.
struct PlannedFile {
  std::string name;
  std::filesystem::path source;
  std::string contents;
  uint64_t bytes = 0;  // of either
};

/// The model's auxiliary files as an export holds them: as they are, but for
/// generation_config.json, which gets do_sample = true if it has top_k or top_p (transformers
/// refuses it otherwise). What is wrong with one (it cannot be read, is no JSON) is added to
/// `problems`.
std::vector<PlannedFile> plan_auxiliary_files(const ir::Model& model,
                                              std::vector<std::string>& problems);

}  // namespace lathe::exporting
