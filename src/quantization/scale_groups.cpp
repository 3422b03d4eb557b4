#include "quantization/scale_groups.h"

#include <algorithm>

#include "quantization/kv_cache.h"

namespace lathe::quantization {
namespace {

using Members = std::vector<TensorQuantizer*>;

/// Enabled quantizers of inputs that are calibrated: each with one amax for its tensor.
Members calibrated_inputs(const Conversion& conversion, const std::vector<size_t>& group) {
  Members members;
  for (size_t index : group) {
    TensorQuantizer* input = conversion.layers[index].input;
    if (input != nullptr && input->enabled() && input->format().needs_amax())
      members.push_back(input);
  }
  return members;
}

/// max over the members that saw data, cell by cell; empty if none did.
std::vector<float> largest_amax(const Members& members) {
  std::vector<float> largest;
  for (const TensorQuantizer* member : members) {
    if (!member->has_amax()) continue;
    if (largest.empty()) largest = member->amax();
    for (size_t i = 0; i < largest.size(); ++i)
      largest[i] = std::max(largest[i], member->amax().at(i));
  }
  return largest;
}

/// A member that did not look itself, since another reads the same value, has that one's amax.
void finish_together(const Members& members) {
  const std::vector<float> amax = largest_amax(members);
  for (TensorQuantizer* member : members) {
    if (!member->has_amax() && !member->keeps_scales()) member->set_amax(amax);
    if (!member->bias().defined() && members[0]->bias().defined())
      member->set_bias(members[0]->bias());
    member->finish(amax);
  }
}

/// Weights whose blocks have scales of their own below one scale of the group.
void finish_with_shared_scale(const Members& members) {
  float largest = 0.0f;
  for (const TensorQuantizer* member : members) {
    for (const float amax : member->amax()) largest = std::max(largest, amax);
  }
  for (TensorQuantizer* member : members) member->finish_with_tensor_amax(largest);
}

/// Of such weights those that are one block each have one scale, as if it were one for the tensor.
bool has_2d_blocks(const formats::Format& format) {
  return format.scale == formats::ScaleKind::kFloat32 && format.block.rows > 1;
}

/// The two projections of an expert are one weight to engines, which have one scale for it.
bool is_of_expert(const Conversion& conversion, const std::vector<size_t>& group) {
  const auto holds = [&](const std::vector<size_t>& experts) {
    return std::ranges::find(experts, group.front()) != experts.end();
  };
  return !group.empty() && std::ranges::any_of(conversion.expert_inputs, holds);
}

void finish_each(const Members& members) {
  for (TensorQuantizer* member : members) member->finish();
}

}  // namespace

std::vector<const QuantizedLayer*> weight_members(const Conversion& conversion,
                                                  const std::vector<size_t>& group) {
  std::vector<const QuantizedLayer*> members;
  for (size_t index : group) {
    if (conversion.layers[index].weight->enabled()) members.push_back(&conversion.layers[index]);
  }
  return members;
}

bool shares_weight_scale(const formats::Format& format, const ScaleOptions& options) {
  if (format.has_global_scale()) return true;
  return options.fuse_scales && format.scale == formats::ScaleKind::kFloat32 &&
         format.block == formats::kPerTensor;
}

std::vector<std::string> mixed_group_problems(const Conversion& conversion) {
  std::vector<std::string> problems;
  for (const auto& group : conversion.groups) {
    const auto members = weight_members(conversion, group);
    for (const QuantizedLayer* member : members) {
      if (member->weight->format().format == members[0]->weight->format().format) continue;
      problems.push_back(fmt::format("{} ({}) and {} ({}) read the same value and need one format",
                                     members[0]->path, members[0]->weight->describe(), member->path,
                                     member->weight->describe()));
      break;
    }
  }
  return problems;
}

void finish_group(const Conversion& conversion, const std::vector<size_t>& group,
                  const ScaleOptions& options) {
  Members weights;
  for (const QuantizedLayer* member : weight_members(conversion, group))
    weights.push_back(member->weight);
  const ScaleOptions own = {.fuse_scales = options.fuse_scales || is_of_expert(conversion, group)};
  const bool single_blocks = std::ranges::all_of(
      weights, [](const TensorQuantizer* weight) { return weight->amax().size() == 1; });
  if (!weights.empty() && weights[0]->format().format.then_fp8) {
    finish_with_shared_scale(weights);
  } else if (!weights.empty() && (shares_weight_scale(weights[0]->format().format, own) ||
                                  (single_blocks && has_2d_blocks(weights[0]->format().format)))) {
    finish_together(weights);
  } else {
    finish_each(weights);
  }
  finish_together(calibrated_inputs(conversion, group));
  for (size_t index : group) {
    TensorQuantizer* output = conversion.layers[index].output;
    if (output != nullptr && output->enabled()) output->finish();
  }
}

void finish_fused_weights(const Conversion& conversion, const std::vector<size_t>& layers) {
  Members weights;
  for (const QuantizedLayer* member : weight_members(conversion, layers))
    weights.push_back(member->weight);
  if (weights.empty()) return;
  const formats::Format& format = weights[0]->format().format;
  const bool alike = std::ranges::all_of(
      weights, [&](const TensorQuantizer* weight) { return weight->format().format == format; });
  if (!alike) return;  // only what stores each by itself can hold them
  if (format.then_fp8) {
    finish_with_shared_scale(weights);
  } else if (shares_weight_scale(format, {.fuse_scales = true})) {
    finish_together(weights);
  }
}

void finish_inputs(const Conversion& conversion, const std::vector<size_t>& layers) {
  finish_together(calibrated_inputs(conversion, layers));
}

void finish_attention(const QuantizedAttention& attention) {
  for (TensorQuantizer* quantizer : {attention.query, attention.key, attention.value}) {
    if (!quantizer->enabled() || !quantizer->has_amax()) continue;
    const formats::Format& format = quantizer->format().format;
    if (format.scale == formats::ScaleKind::kE4M3TwoLevel) {
      const float cache_scale = kv_cache_scale(quantizer->amax().at(0));
      quantizer->set_scales(kv_quantizer_scales(format, cache_scale));
    } else {
      quantizer->finish();  // FP8: the cache's scale itself
    }
  }
  if (attention.probabilities != nullptr && attention.probabilities->enabled())
    attention.probabilities->finish();
}

}  // namespace lathe::quantization
