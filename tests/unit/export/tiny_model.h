#pragma once

#include <filesystem>
#include <string>

#include "export/hf_checkpoint/checkpoint_exporter.h"
#include "ir/model.h"

namespace lathe::testing {

/// Two decoder layers of width 64 with bfloat16 weights that are always the same, tied embeddings,
/// a tokenizer.json and a generation_config.json.
ir::Model tiny_model();

/// A scheme for all *_proj modules.
exporting::QuantizationScheme uniform_scheme(const ir::Model& model, formats::Format weight,
                                             std::optional<formats::Format> input = {},
                                             bool input_dynamic = false);

/// FP8 attention with an FP8 KV cache, NVFP4 MLP.
exporting::QuantizationScheme mixed_scheme(const ir::Model& model);

/// Scales of a weight by its amax; 0.25 as input scale, powers of two as pre_quant_scale.
exporting::LayerValues amax_values(const exporting::PlannedLayer& layer, const at::Tensor& weight);

/// Writes everything that is not finished yet, then finish()es. Stops after `max_steps` writes and
/// finished units, returning false.
bool run_export(exporting::CheckpointExporter& exporter, const ir::Model& model,
                const exporting::QuantizationScheme& scheme, int max_steps = 1 << 30);

/// The export that the tests interrupt: tiny_model() by mixed_scheme() in shards of 60 kB. False if
/// it stopped after `max_steps`.
bool export_tiny(const std::filesystem::path& output, exporting::ExportMode mode, bool force,
                 int max_steps = 1 << 30);
exporting::CheckpointPlan tiny_plan();

}  // namespace lathe::testing
