#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/module.h"
#include "ops/scalar_functions.h"

namespace lathe::ops {

/// One step of a graph's execution: a node, bound to its operator or child, or two nodes that run
/// as one kernel.
struct Step {
  enum class Kind {
    kPlaceholder,
    kGetAttr,
    kOp,
    kAttention,  // aten::scaled_dot_product_attention, by Lathe's kernel where its arguments suit
    kGetItem,
    kScalar,  // a function on numbers
    kModule,
    kSwiGlu,      // node is mul(SiLU(x), y); first: x, second: y
    kAddRmsNorm,  // node is add(a, b), whose value an RMSNorm (norm) reads; first: a, second: b
    kOutput,
  };
  Kind kind;
  const ir::Node* node;
  size_t slot;                                 // where the value goes
  size_t second_slot;                          // kAddRmsNorm: where the norm's goes; else slot
  std::optional<c10::OperatorHandle> op = {};  // kOp, kAttention
  ScalarFunction scalar = nullptr;             // kScalar
  const ir::Module* callee = nullptr;          // kModule; kAddRmsNorm: the norm
  const ir::Node* norm = nullptr;              // kAddRmsNorm
  const ir::Node* first = nullptr;
  const ir::Node* second = nullptr;
  std::vector<size_t> released = {};  // slots that nobody reads after this step
};

/// A module's graph, bound: operators found in the dispatcher, children found by path, fusions
/// chosen, the last reader of each value known. It refers to the module and its graph, which must
/// outlive it.
struct ExecutionPlan {
  std::vector<Step> steps;
  std::unordered_map<const ir::Node*, size_t> slots;
  std::string where;  // names the module in errors: its path, or the root's type

  /// An operator that the dispatcher lacks is a UserError that names it; a graph that is not
  /// well-formed (ir::verify) an InternalError.
  static ExecutionPlan make(const std::string& path, const ir::Module& module,
                            const ir::Graph& graph, bool fuse);
};

}  // namespace lathe::ops
