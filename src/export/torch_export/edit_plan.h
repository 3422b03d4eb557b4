#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "export/torch_export/program_json.h"
#include "export/torch_export/quantized_program.h"

namespace lathe::exporting {

/// Where new nodes go, and whose nn_module_stack they get, as many entries of it.
struct Place {
  size_t position;  // before this node; behind all for the number of nodes
  size_t stack_node = 0;
  size_t stack_depth = 0;
};

/// A value that is quantized and dequantized.
struct PlannedPair {
  std::string value;
  QdqScheme scheme;
  Place place;
  std::vector<Read> readers;
};

struct PlannedWeight {
  const WeightEdit* edit;
  SavedInput input;
  Place place;
};

struct PlannedBias {
  const NewBias* edit;
  size_t node;
};

struct PlannedReplacement {
  const ReplacedTensor* edit;
  SavedInput input;
};

/// Edits, resolved: what changes where. Refers to the edits.
struct EditPlan {
  std::unordered_map<std::string, std::string> instead;  // of the values of dropped nodes
  std::set<size_t> dropped;                              // nodes
  std::vector<PlannedPair> activations;                  // for some readers
  std::vector<PlannedPair> outputs;                      // for all readers
  std::vector<PlannedWeight> weights;
  std::vector<PlannedBias> biases;
  std::vector<PlannedReplacement> replaced;
  std::set<std::string> removed;  // names of parameters and buffers that are left out

  /// What readers of a value of the source read when nodes are dropped.
  const std::string& resolve(const std::string& value) const;
};

struct PlanResult {
  EditPlan plan;
  std::vector<std::string> problems;  // the plan is of use if there are none
};

/// `pickled`: the archive is one of torch 2.6 or 2.7. `need_scales`: scales must be there.
PlanResult plan_edits(const ProgramJson& program, const ProgramEdits& edits, bool pickled,
                      bool need_scales);

}  // namespace lathe::exporting
