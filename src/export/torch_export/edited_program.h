#pragma once

#include <set>
#include <string>
#include <vector>

#include "export/torch_export/edit_plan.h"

namespace lathe::exporting {

/// A parameter or buffer of the edited program that the source has not, or with other values.
struct StoredTensor {
  std::string name;
  TensorSource source;
  bool is_parameter;
  Json meta;  // the schema's TensorMeta
};

/// A program with its edits.
struct EditedProgram {
  Json json;
  std::vector<StoredTensor> tensors;  // those of the source's names replace them
  std::set<std::string> removed;      // names of parameters and buffers
  size_t quantizers = 0;
  size_t dequantized_weights = 0;
};

/// Carries out a plan without problems. It refers to the edits and the plan.
EditedProgram apply_edits(const ProgramJson& program, const EditPlan& plan);

}  // namespace lathe::exporting
