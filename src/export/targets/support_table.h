#pragma once

#include <string>
#include <string_view>

#include "export/hf_checkpoint/planned_layer.h"
#include "export/targets/target.h"

namespace lathe::exporting {

/// Whether a target has code for layers that a dialect stores under this name.
bool target_reads(Target target, std::string_view dialect, std::string_view storage);

/// What a target asks of a layer that it has code for: the broken rule and what to do, "" if none.
/// `mixed`: the model has several storages. `biased_experts`: among its quantized layers are
/// experts with biases that its own checkpoint holds in one tensor.
std::string rule_problem(Target target, std::string_view dialect, const PlannedLayer& layer,
                         bool mixed, bool biased_experts);

/// The same for the KV cache's format.
std::string cache_rule_problem(Target target, std::string_view dialect,
                               const formats::Format& format);

}  // namespace lathe::exporting
