#pragma once

#include <cstdint>
#include <string>

#include "lathe/model.h"

namespace lathe {

struct ExportOptions {
  std::string dialect = "modelopt";  // or "compressed-tensors"
  std::string target;  // "vllm", "sglang", "trtllm", "transformers"; "": no one's rules
  int64_t max_shard_bytes = 5'000'000'000;
  bool force = false;  // replace an existing folder
};

/// What was written.
struct ExportReport {
  std::string folder;
  int64_t quantized_tensors = 0;
  int64_t copied_tensors = 0;
  int64_t dropped_tensors = 0;
  int64_t bytes = 0;           // of all tensors written
  double bits_per_weight = 0;  // of all weights, scales counted
};

/// Writes a quantized (or plain) model as a Hugging Face directory that vLLM, SGLang and
/// TensorRT-LLM load: packed weights, scales, config.json, hf_quant_config.json, tokenizer files.
/// Atomic; read back and checked. Where the dialect cannot hold the model's scales to the last bit
/// (compressed-tensors), the model's quantizers get those that are written.
ExportReport export_checkpoint(Model& model, const std::string& folder,
                               const ExportOptions& options = {});

}  // namespace lathe
