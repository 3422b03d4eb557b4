#pragma once

#include "frontends/huggingface/decoder.h"

namespace lathe::frontends {

/// The config of model_type "qwen2".
DecoderConfig read_qwen2_config(const ConfigReader& config);

}  // namespace lathe::frontends
