#pragma once

#include "export/hf_checkpoint/checkpoint_plan.h"
#include "lathe/export.h"

namespace lathe::api {

/// What a plan writes, in numbers.
ExportReport export_report(const exporting::CheckpointPlan& plan, const std::string& folder);

/// Bits of a quantized weight, scales counted; 0 if nothing is quantized.
double bits_per_quantized_weight(const exporting::CheckpointPlan& plan);

}  // namespace lathe::api
