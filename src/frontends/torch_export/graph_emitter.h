#pragma once

#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "frontends/torch_export/calls.h"
#include "frontends/torch_export/mutation.h"
#include "frontends/torch_export/parameters.h"
#include "frontends/torch_export/program_sites.h"
#include "ir/graph.h"

namespace lathe::frontends::torch_export {

/// What a call became: the module that its caller calls, and how.
struct BuiltCall {
  std::string path;                  // of the module
  std::vector<std::string> inputs;   // values, in the order of the module's arguments
  std::vector<std::string> results;  // values that it gives; one, or several to take items of
};

/// The program's inputs: what each is.
struct InputTable {
  std::unordered_map<std::string, const InputSpec*> specs;

  explicit InputTable(const Program& program) {
    for (const InputSpec& spec : program.inputs) {
      if (spec.value.kind == Value::Kind::kName) specs.emplace(spec.value.text, &spec);
    }
  }
  /// Null for values that nodes compute.
  const InputSpec* find(const std::string& value) const {
    const auto found = specs.find(value);
    return found == specs.end() ? nullptr : found->second;
  }
};

/// Everything that graphs are built from.
struct Source {
  const Program& program;
  const Parameters& parameters;
  const Mutations& mutations;
  const CallTree& calls;
  InputTable inputs;
  std::unordered_set<std::string> read;  // values that somebody reads

  /// The path of the parameter that `value` is, below the module at `path`; "" if it is none.
  std::string parameter_below(const std::string& value, const std::string& path) const;
};

/// Builds the graph of one call. Untraceable if an operator or argument of it cannot be run.
class GraphEmitter {
 public:
  GraphEmitter(const Source& source, const Call& call) : source_(source), call_(call) {}

  /// `children` are the calls within, built; `target` names the child that one calls.
  using Built = std::function<const BuiltCall&(const Call&)>;
  using Target = std::function<std::string(const BuiltCall&)>;
  void emit_items(const Built& children, const Target& target);

  void emit_placeholders(const std::vector<std::string>& inputs);

  /// The root's: the user's inputs.
  void emit_user_inputs();

  /// The root's: new values of buffers, then what forward gives.
  void emit_user_outputs();

  void emit_outputs();

  ir::GraphPtr take();

  /// The program's node of each operator in the graph.
  GraphCall take_operators() { return std::move(operators_); }

 private:
  const ir::Node* call_op(std::string op, std::vector<ir::Argument> args, std::string name = {});

  const ir::Node* parameter(const std::string& name);

  const ir::Node* resolve(const std::string& value);

  ir::Argument argument(const Value& value);

  /// Numbers leave the model as tensors without dimensions.
  ir::Argument output(const Value& value);

  /// The dtype that torch.as_tensor gives a number.
  at::ScalarType number_dtype(const Value& value) const;

  void emit_node(const FlatNode& flat);

  /// Arguments and results are those of the operator's schema.
  void check_call(const FlatNode& flat, const std::string& op) const;
  void check_results(const FlatNode& flat, const std::string& op) const;

  /// Names of an operator's arguments that may be given by position; empty for functions on
  /// numbers, whose arguments have no names.
  static std::vector<std::string> argument_names(const std::string& op);

  void bind(const std::vector<Value>& outputs, const ir::Node* node);
  void bind(const Value& output, const ir::Node* node);
  void bind_item(const Value& item, const ir::Node* node, size_t index);

  void emit_call(const BuiltCall& callee, std::string target);

  const Source& source_;
  const Call& call_;
  ir::Graph graph_;
  std::unordered_map<std::string, const ir::Node*> values_;
  GraphCall operators_;
};

}  // namespace lathe::frontends::torch_export
