#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "lathe/symbol.h"
#include "trace/axes.h"
#include "trace/shape_run.h"

namespace lathe::trace {

/// A tensor as its axes.
struct UnitValue {
  bool known = false;
  std::vector<AxisId> dims = {};
  /// Bit d: the entries of a unit of dims[d] that was taken away would be zero, if its parameters
  /// were.
  uint64_t zero = 0;

  size_t rank() const { return dims.size(); }
  bool is_zero(size_t dim) const { return dim < 64 && ((zero >> dim) & 1) != 0; }
  void set_zero(size_t dim, bool value) {
    if (dim < 64) zero = (zero & ~(uint64_t{1} << dim)) | (uint64_t{value} << dim);
  }
};

/// A size of a module: "in_features" of a Linear.
struct SymbolAxis {
  const ir::Module* module;
  std::string name;
  AxisId axis;
  bool outgoing;
};

/// A number in a graph or a module that is made of sizes: it changes with them.
struct SizeUse {
  const ir::Module* module;
  const ir::Node* node = nullptr;  // null: an attribute
  std::string name = {};           // of the attribute, or of an argument given by name
  size_t argument = 0;             // of the node, by position
  int64_t item = -1;               // of a list
  std::vector<AxisId> axes = {};   // its value is the sum of their sizes
};

/// An attention whose scale follows from the head size: to keep the scale, it must be said.
struct ScaleUse {
  const ir::Module* module;
  const ir::Node* node;
  double scale;
};

/// An expert is a module: a unit of `axis` is the module at the same place.
struct ExpertUse {
  const ir::Module* module;  // whose graph calls them
  const ir::Node* combination;
  AxisId axis;
};

/// What is known of a model's axes when its graph was followed to the end.
struct UnitResult {
  AxisTable axes;
  std::unordered_map<const ir::Parameter*, std::vector<AxisId>> parameters;
  std::vector<SymbolAxis> symbols;
  std::vector<SizeUse> sizes;
  std::vector<ScaleUse> scales;
  std::vector<ExpertUse> experts;
  std::set<AxisId> statistics;  // atoms that norms take a mean over
};

class OpCall;

/// Follows the axes of tensors through a flat graph, node by node in order of execution.
class UnitFlow {
 public:
  /// Sizes and types of the root's inputs, by name; inputs that are not there are left out.
  using Inputs = std::map<std::string, at::Tensor, std::less<>>;

  UnitFlow(const FlatGraph& graph, const SymRegistry& registry, UnitResult& result)
      : graph_(graph),
        registry_(registry),
        result_(result),
        shapes_(graph),
        values_(graph.nodes().size()) {}

  void run(const Inputs& inputs);

  // For rules:
  AxisTable& axes() { return result_.axes; }
  UnitResult& result() { return result_; }
  const FlatGraph& graph() const { return graph_; }
  const SymRegistry& registry() const { return registry_; }
  const ShapeRun& shapes() const { return shapes_; }

  const UnitValue& value(ValueId id, size_t item = 0) const;
  const UnitValue& value(const FlatNode& node, const ir::Argument& argument) const;
  /// The first argument of a call.
  const UnitValue& first(const FlatNode& node) const;
  UnitValue parameter(const ir::ParameterPtr& parameter);
  UnitValue parameter(const ir::Module& module, std::string_view name);

  UnitValue constants(const std::vector<int64_t>& sizes);
  /// Dimensions tied from the last one on; a dimension of size 1 takes the other's.
  UnitValue broadcast(const UnitValue& a, const UnitValue& b);
  /// Ties one dimension of a value to an axis.
  void tie(AxisId a, AxisId b) { axes().tie(a, b); }
  void fix(const UnitValue& value, std::string_view reason);
  void fix_inputs(const FlatNode& node, std::string_view reason);
  void note(const ir::Module& module, std::string name, AxisId axis, bool outgoing);
  void note_statistics(AxisId axis);

  void give(ValueId id, UnitValue value);
  void give(ValueId id, std::vector<UnitValue> values);
  /// The inputs cannot change, nor what comes of them.
  void give_up(ValueId id, std::string_view reason);
  /// Experts' choices are indices along this axis.
  std::unordered_map<ValueId, AxisId> chosen_experts;

 private:
  void run_node(ValueId id);
  void run_leaf(ValueId id);
  void run_operator(ValueId id);
  void check(ValueId id);
  at::ScalarType dtype_of_inputs(ValueId id) const;
  std::vector<std::vector<int64_t>> sizes_of(const c10::IValue& value) const;

  const FlatGraph& graph_;
  const SymRegistry& registry_;
  UnitResult& result_;
  ShapeRun shapes_;
  std::vector<std::vector<UnitValue>> values_;
};

/// The arguments of an operator, or of a leaf that is one operator, by the names of its schema.
class OpCall {
 public:
  OpCall(UnitFlow& flow, ValueId id);
  /// A leaf that runs `op`: its attributes are arguments, its inputs the tensors.
  OpCall(UnitFlow& flow, ValueId id, std::string_view op);

  UnitFlow& flow;
  const ValueId id;
  const FlatNode& node;
  const std::string name;  // "aten::transpose.int"

  bool has(std::string_view argument) const;
  const UnitValue tensor(std::string_view argument) const;
  std::vector<UnitValue> tensors(std::string_view argument) const;
  int64_t integer(std::string_view argument, int64_t otherwise = 0) const;
  std::vector<int64_t> integers(std::string_view argument) const;
  bool flag(std::string_view argument) const;
  const c10::IValue& value(std::string_view argument) const;
  /// A dimension argument, counted from the front.
  size_t dim(std::string_view argument, const UnitValue& tensor, int64_t otherwise = 0) const;
  /// Sizes of the first result.
  std::vector<int64_t> result_sizes() const;
  /// The argument's number, or an item of its list, is the size of these axes.
  void note_size(std::string_view argument, int64_t item, std::vector<AxisId> axes) const;
  /// The node's argument; null if it has its default.
  const ir::Argument* argument(std::string_view argument) const;
  bool is_leaf() const { return node.kind == ir::NodeKind::kCallModule; }

 private:
  size_t index_of(std::string_view argument) const;

  std::vector<std::string> names_;
  std::vector<c10::IValue> values_;
};

/// The rules. Each gives the call's value or values, or says that it does not know the operator.
bool apply_view_rule(OpCall& call);
bool apply_elementwise_rule(OpCall& call);
bool apply_product_rule(OpCall& call);
bool apply_layer_rule(OpCall& call);
bool apply_lathe_rule(OpCall& call);
bool apply_leaf_rule(UnitFlow& flow, ValueId id, const ir::Module& module);

/// Parts of rules that leaves and operators share.
struct ConvShape {
  int64_t groups = 1;
  bool transposed = false;
};
/// Convolution of x [N, C, ...] by a weight; `sizes`: of the result.
UnitValue convolve(UnitFlow& flow, const UnitValue& x, const UnitValue& weight,
                   const UnitValue* bias, const ConvShape& shape, const std::vector<int64_t>& sizes,
                   AxisId* in_channels = nullptr, AxisId* out_channels = nullptr,
                   AxisId* groups = nullptr);
UnitValue multiply_by_weight(UnitFlow& flow, const UnitValue& x, AxisId in, AxisId out,
                             const UnitValue* bias);
UnitValue normalize_last(UnitFlow& flow, const UnitValue& x, const UnitValue* weight,
                         const UnitValue* bias);

}  // namespace lathe::trace
