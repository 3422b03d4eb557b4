#pragma once

#include "frontends/huggingface/decoder_config.h"

namespace lathe::frontends {

// How each decoder-only language model with rotary positions reads its config.json, by model_type.
// An option that is not supported is a UserError that names its key.

DecoderConfig read_llama(const ConfigReader& config);
DecoderConfig read_granite(const ConfigReader& config);
DecoderConfig read_mistral(const ConfigReader& config);
DecoderConfig read_mixtral(const ConfigReader& config);
DecoderConfig read_qwen2(const ConfigReader& config);
DecoderConfig read_qwen3(const ConfigReader& config);
DecoderConfig read_qwen3_moe(const ConfigReader& config);
DecoderConfig read_phi3(const ConfigReader& config);
DecoderConfig read_gemma2(const ConfigReader& config);
DecoderConfig read_gemma3(const ConfigReader& config);
DecoderConfig read_olmo2(const ConfigReader& config);
DecoderConfig read_starcoder2(const ConfigReader& config);
DecoderConfig read_deepseek_v3(const ConfigReader& config);
DecoderConfig read_gpt_oss(const ConfigReader& config);

}  // namespace lathe::frontends
