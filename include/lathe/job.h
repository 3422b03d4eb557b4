#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lathe/error.h"
#include "lathe/evaluate.h"
#include "lathe/export.h"
#include "lathe/quantize.h"

namespace lathe {

/// `lathe quantize`: from file to file. A checkpoint is worked on block by block; a torch.export
/// program (.pt2) becomes another one (export_program).
struct QuantizePlan;

struct QuantizeJob {
  std::string model;
  std::string output;
  std::string format;       // a preset's name; or
  std::string recipe;       // a YAML or JSON file
  std::string kv_cache;     // "", "fp8" or "nvfp4"
  std::string calibration;  // a file, "builtin", or "" for none
  int64_t samples = 128;
  int64_t seq_len = 0;               // 0: 512 for text, the length of the rows for ids
  std::string dialect = "modelopt";  // "compressed-tensors", "mxfp4"
  std::string target;  // "vllm", "sglang", "trtllm", "transformers"; "": the rules of all alone
  int64_t max_shard_bytes = 5'000'000'000;
  bool fuse_scales = true;
  bool all_experts = false;  // calibration takes each token through every expert of a block
  std::string device = "cpu";
  bool resume = false;
  bool force = false;
  std::string eval_text;     // evaluate what is shipped, before it is written; "" for no evaluation
  int64_t eval_samples = 0;  // 0: all
  bool layer_errors = false;  // measure each layer's relative error (reads weights once more)
  /// run_job() calls it once, when nothing stands in the way and the work begins.
  std::function<void(const QuantizePlan&)> planned = {};
};

/// What would be done, and everything that stands in the way.
struct QuantizePlan {
  struct Row {
    std::string name;    // of the tensor in the source
    std::string action;  // "quantize", "keep", "fold", "copy", "merge", "drop", "tie"
    std::string format;  // "fp8 per-tensor", "BF16"; of dropped ones: the reason
    std::vector<int64_t> shape;
    int64_t bytes_in = 0;
    int64_t bytes_out = 0;
  };
  std::string architecture;
  std::string source_algo;      // of a quantized source: "FP8", "gptq 4 bits"; "" for others
  int64_t kept_weights = 0;     // of a quantized source: those whose codes and scales stay
  int64_t decoded_weights = 0;  // and those that are dequantized
  std::string config;           // name of the preset or recipe
  std::string quant_algo;       // "FP8", "NVFP4", ...
  std::string kv_cache_algo;    // "" for none
  bool needs_calibration = false;
  std::vector<Row> tensors;
  std::vector<std::vector<std::string>> groups;  // modules that share scales
  std::vector<std::string> problems;             // errors; empty if the job can run
  ErrorKind problem_kind = ErrorKind::kUser;     // kData if all problems are those of bad files
  std::vector<std::string> warnings;
  std::vector<std::string> left_alone;  // "PATH: reason": layers of a program that stay as they are
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  int64_t memory_bytes = 0;    // estimated peak of anonymous memory
  double bits_per_weight = 0;  // of the quantized weights, scales counted
  int64_t calibration_tokens = 0;
  int64_t calibration_samples = 0;  // of a program's inputs
  /// An estimate, by rates measured on two cores; 0 if it cannot be made.
  double seconds = 0;
};

/// All problems at once, no work, nothing written. Throws only if the model or the recipe cannot be
/// read at all.
QuantizePlan plan_job(const QuantizeJob& job);

struct QuantizeReport {
  ExportReport written;
  QuantizePlan plan;
  double seconds = 0;
  int64_t peak_memory_bytes = 0;  // resident set of this process, mapped pages counted
  int64_t resumed_units = 0;      // blocks that an earlier run had finished
  struct Layer {
    std::string path;
    std::string format;
    double relative_error = 0;  // ||W - Q(W)|| / ||W||
  };
  std::vector<Layer> layers;
  /// How many tokens of the calibration data the router of a block sent to each of its experts.
  struct Experts {
    std::string path;  // "model.layers.3.mlp.experts"
    std::vector<int64_t> tokens;
  };
  std::vector<Experts> experts;
  std::optional<Evaluation>
      evaluation;  // of the quantized model, from memory, before it was written
};

/// Plans, and throws UserError with all problems if there are any; then reads, calibrates, packs,
/// writes and checks block by block.
QuantizeReport run_job(const QuantizeJob& job);

}  // namespace lathe
