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
  std::string folder;  // or the file, for a program
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

struct ProgramExportOptions {
  bool force = false;  // replace existing files
};

/// Writes a quantized model that was opened from a .pt2 file as such a file again, in the
/// convention of PyTorch's PT2E flow: quantized_decomposed::quantize_* and dequantize_* around the
/// quantized layers, weights stored as codes, batch norms folded. torch.export.load and Lathe read
/// it and compute equal outputs. The quantizers' amax and scales are written beside it, to
/// NAME.state.safetensors. UserError if a format cannot be said so (NVFP4, MX, dynamic scales), or
/// a file is there already.
ExportReport export_program(Model& model, const std::string& path,
                            const ProgramExportOptions& options = {});

}  // namespace lathe
