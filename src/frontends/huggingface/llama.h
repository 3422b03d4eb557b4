#pragma once

#include "frontends/huggingface/decoder.h"

namespace lathe::frontends {

/// The config of model_type "llama".
DecoderConfig read_llama_config(const ConfigReader& config);

}  // namespace lathe::frontends
