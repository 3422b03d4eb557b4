#pragma once

#include <string>

#include "api/model_impl.h"

namespace lathe::api {

/// "net.state.safetensors" for "net.pt2".
std::string state_path(const std::string& program_path);

/// Writes what the enabled quantizers were calibrated to: NAME._amax and NAME._scale for each, in
/// float32; in the metadata the config's name and, as JSON, each quantizer's format.
void write_quantizer_state(const Quantization& quantization, const std::string& path);

}  // namespace lathe::api
