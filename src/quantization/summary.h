#pragma once

#include <string>

#include "quantization/conversion.h"

namespace lathe::quantization {

/// One line for each quantizer: name, what it does, its amax; and how many are on.
std::string summary(const Conversion& conversion);

/// "0.4375", or "[0.01, 0.52] of 576" for many.
std::string amax_text(const std::vector<float>& amax);

}  // namespace lathe::quantization
