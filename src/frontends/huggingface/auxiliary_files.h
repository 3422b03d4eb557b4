#pragma once

#include <filesystem>
#include <vector>

#include "ir/model.h"

namespace lathe::frontends {

/// The files beside the weights that an exported model needs too: tokenizer, generation config,
/// chat template, preprocessors, Python code of the model. By name.
std::vector<ir::AuxiliaryFile> find_auxiliary_files(const std::filesystem::path& folder);

}  // namespace lathe::frontends
