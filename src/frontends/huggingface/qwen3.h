#pragma once

#include "frontends/huggingface/decoder.h"

namespace lathe::frontends {

/// The config of model_type "qwen3".
DecoderConfig read_qwen3_config(const ConfigReader& config);

}  // namespace lathe::frontends
