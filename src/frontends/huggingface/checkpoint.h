#pragma once

#include <filesystem>

#include "frontends/open.h"

namespace lathe::frontends {

/// Opens a folder with *.safetensors and, if it is there, config.json; see open_model.
OpenedModel open_huggingface(const std::filesystem::path& folder, const OpenOptions& options);

}  // namespace lathe::frontends
