#pragma once

#include <optional>
#include <string>

#include "ir/module.h"

namespace lathe::quantization {

/// Some rows (dimension 0) of a parameter.
struct ParameterRows {
  std::string path;  // of the parameter, below the module
  int64_t first = 0;
  int64_t count = 0;

  friend bool operator==(const ParameterRows&, const ParameterRows&) = default;
};

/// The rows of a parameter that a graph's value is: all of it (get_attr), or a part that split,
/// chunk or slice cut off, as torch.nn.MultiheadAttention does with in_proj_weight. Nothing for
/// values that are computed in any other way.
std::optional<ParameterRows> parameter_rows(const ir::Module& module, const ir::Argument& value);

/// Those rows as a parameter: itself if they are all, or a copy that is made when it is read.
ir::ParameterPtr take_rows(const ir::Module& module, const ParameterRows& rows);

}  // namespace lathe::quantization
