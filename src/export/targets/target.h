#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "export/hf_checkpoint/planned_layer.h"

namespace lathe::exporting {

class Dialect;

/// Who is to load a checkpoint. kAny: only what holds for all of them.
enum class Target : uint8_t { kAny, kVllm, kSglang, kTrtllm, kTransformers };

/// By the name that `--target` takes: "vllm", "sglang", "trtllm", "transformers"; "" is kAny.
std::optional<Target> target_from_name(std::string_view name);
/// "vLLM", "SGLang", "TensorRT-LLM", "transformers"; "every engine".
std::string_view target_title(Target target);

/// Whether it runs several linears as one: transformers does not.
bool fuses_layers(Target target);

/// Modules that engines run as one layer: q/k/v (not of cross-attention), gate/up, w1/w3 of one
/// parent. By paths, in groups of at least two.
std::vector<std::vector<std::string>> fused_modules(const std::vector<std::string>& paths);

/// Modules that engines run as one kernel: all linears of the experts of a block.
std::vector<std::vector<std::string>> expert_modules(const std::vector<std::string>& paths);

/// What in a plan the target does not load or reads wrongly; each problem names the layers, the
/// rule, and what would do instead. `unquantized`: modules that could have been quantized.
std::vector<std::string> target_problems(const std::vector<PlannedLayer>& layers,
                                         const std::vector<PlannedCache>& caches,
                                         const std::vector<std::string>& unquantized,
                                         const Dialect& dialect, DType model_dtype, Target target);

/// A warning if the dialect stores experts, which the model's own checkpoint holds in one tensor,
/// as no engine reads them; "" if one does.
std::string unread_experts(const std::vector<PlannedLayer>& layers, const Dialect& dialect);

}  // namespace lathe::exporting
