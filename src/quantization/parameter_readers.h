#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/module.h"

namespace lathe::quantization {

/// The modules that read each parameter or buffer, with their paths: leaves that own it, and
/// composites whose graphs get it.
using ParameterReaders = std::unordered_map<const ir::Parameter*,
                                            std::vector<std::pair<std::string, const ir::Module*>>>;

ParameterReaders parameter_readers(const ir::Module& root);

}  // namespace lathe::quantization
