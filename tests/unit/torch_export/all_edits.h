#pragma once

#include <fmt/format.h>

#include <functional>

#include "export/torch_export/edit_plan.h"
#include "export/torch_export/edited_program.h"
#include "export/torch_export/program_json.h"

namespace lathe::exporting {

inline QdqScheme int8_scheme(float scale = 0.5f) { return {.scales = {scale}}; }

/// One edit of every kind for every place of a program that could have it, up to `limit` of each.
inline void for_each_edit(const ProgramJson& program, size_t limit,
                          const std::function<void(const ProgramEdits&)>& visit) {
  const size_t nodes = std::min(program.nodes().size(), limit);
  for (size_t node = 0; node < nodes; ++node) {
    if (program.results(node).empty()) continue;
    const std::string& name = program.results(node).front();
    visit({.outputs = {{name, int8_scheme()}}});
    for (const Json& input : program.nodes()[node]["inputs"]) {
      visit({.activations = {{name, input["name"], int8_scheme()}}});
      for_each_tensor(input["arg"], [&](const Json& value, size_t) {
        visit({.dropped = {{name, value}}});
      });
    }
    const auto meta = program.meta(name);
    if (meta && meta->dtype && meta->sizes.size() > 1) {
      visit({.biases = {{name, "made.bias", {*meta->dtype, {meta->sizes[1].value_or(1)}, {}}}}});
    }
  }
  size_t count = 0;
  for (const auto& [name, input] : program.saved()) {
    const auto meta = program.meta(input.value);
    if (!meta || ++count > limit) continue;
    std::vector<int64_t> shape;
    for (const auto& size : meta->sizes) shape.push_back(size.value_or(-1));
    visit({.weights = {{name, {DType::kI8, shape, {}}, int8_scheme()}}});
    if (shape.empty() || shape[0] < 0 || shape[0] > 10000) continue;
    QdqScheme scheme{.scales = std::vector<float>(static_cast<size_t>(shape[0]), 0.25f), .axis = 0};
    visit({.weights = {{name, {DType::kI8, shape, {}}, std::move(scheme)}}});
  }
}

/// The edited program; nothing if there is a problem.
inline std::optional<EditedProgram> try_edit(const ProgramJson& program,
                                             const ProgramEdits& edits) {
  const PlanResult result = plan_edits(program, edits, false, true);
  if (!result.problems.empty()) return std::nullopt;
  return apply_edits(program, result.plan);
}

}  // namespace lathe::exporting
