#pragma once

#include <string>
#include <vector>

#include "quantization/conversion.h"

namespace lathe::quantization {

/// Weights whose shape does not suit their format: K (of 2-D blocks: or N) not divisible by the
/// block. One line for each layer, all at once.
std::vector<std::string> shape_problems(const Conversion& conversion);

}  // namespace lathe::quantization
