#pragma once

#include "frontends/huggingface/decoder.h"

namespace lathe::frontends {

/// The config of model_type "mistral".
DecoderConfig read_mistral_config(const ConfigReader& config);

}  // namespace lathe::frontends
