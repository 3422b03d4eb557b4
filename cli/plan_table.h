#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/job.h"

namespace lathe::cli {

/// Tensors of one kind: the same in every layer but for its number.
struct PlanLine {
  std::string action;  // see QuantizePlan::Row
  std::string name;    // "model.layers.[0-29].mlp.up_proj.weight"
  std::string format;
  std::string shape;
  int64_t count = 0;
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
};

/// Quantized tensors first, then those that are folded, copied, tied and dropped; in the order of
/// the model.
std::vector<PlanLine> fold_tensors(const QuantizePlan& plan);

/// Modules that share scales, folded likewise: "model.layers.[0-29].self_attn: q_proj, k_proj,
/// v_proj".
struct GroupLine {
  std::string text;
  int64_t count = 0;
};
std::vector<GroupLine> fold_groups(const std::vector<std::vector<std::string>>& groups);

/// What becomes of a quantized source's weights, in a line; "" for other sources.
std::string source_text(const QuantizePlan& plan);

/// The plan for a person: what happens to each kind of tensor, groups, sizes. No problems or
/// warnings.
std::string plan_text(const QuantizePlan& plan);

}  // namespace lathe::cli
