#pragma once

#include <string>
#include <utility>
#include <vector>

#include "quantization/conversion.h"

namespace lathe::quantization {

/// The attributes of a number format by name ("fp8", "nvfp4").
QuantizerAttributes attributes_of(std::string_view number_format);

/// A quantizer that is on.
TensorQuantizer make_quantizer(const QuantizerAttributes& attributes,
                               const std::string& name = "layer.weight_quantizer");

/// Everything off but the quantizers that match, which do what the attributes say.
QuantizerResolver resolver_of(
    const std::vector<std::pair<std::string, QuantizerAttributes>>& entries);

/// convert without problems.
Conversion convert_all(ir::Module& root, const QuantizerResolver& resolver);

}  // namespace lathe::quantization
