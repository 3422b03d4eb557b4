#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::frontends::torch_export {

struct FlatGraph;

/// What a node is given or gives: the schema's union Argument. A symbolic number is the name of the
/// value that holds it.
struct Value {
  enum class Kind {
    kNone,
    kName,  // of a tensor or number that a node or input gives: text
    kBool,
    kInt,
    kFloat,
    kString,
    kScalarType,    // integer: the schema's ScalarType
    kMemoryFormat,  // integer: the schema's MemoryFormat
    kLayout,        // integer: the schema's Layout
    kDevice,        // text: "cpu", "cuda:0"
    kList,
    kGraph,        // of a higher-order operator
    kUnsupported,  // text: the union's field
  };
  Kind kind = Kind::kNone;
  std::string text = {};
  int64_t integer = 0;  // kBool: 0 or 1
  double real = 0;
  std::vector<Value> items = {};
  std::shared_ptr<const FlatGraph> graph = {};
};

/// Calls visit(name) for every value that `value` names.
template <typename Visit>
void for_each_name(const Value& value, const Visit& visit) {
  if (value.kind == Value::Kind::kName) visit(value.text);
  for (const Value& item : value.items) for_each_name(item, visit);
}

struct NamedValue {
  std::string name;
  Value value;
};

/// One entry of nn_module_stack: a call of a module. Calls of one module have keys of their own.
struct CallSite {
  std::string key;   // "L__self__layer.1@1"
  std::string path;  // "layer.1"; "" for the root
  std::string type;  // "torch.nn.modules.conv.Conv2d"
  friend bool operator==(const CallSite&, const CallSite&) = default;
};

struct FlatNode {
  std::string target;  // "torch.ops.aten.conv2d.default", "_operator.add"
  std::string name;
  std::vector<NamedValue> inputs;
  std::vector<Value> outputs;
  std::vector<CallSite> stack;  // from the root; empty if nobody says

  /// The first value that it gives; "" if there is none.
  std::string value_name() const;
};

/// Sizes that depend on the input are nothing.
struct TensorMeta {
  DType dtype;
  std::vector<std::optional<int64_t>> sizes;
};

struct FlatGraph {
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  std::vector<FlatNode> nodes;
  std::map<std::string, TensorMeta, std::less<>> tensors;  // those of known dtype
  std::map<std::string, Value::Kind> symbols;  // symbolic numbers among the values: kInt, ...
};

/// What an input of the graph is.
struct InputSpec {
  enum class Kind { kUser, kParameter, kBuffer, kConstant, kUnsupported };
  Kind kind;
  Value value;         // kUser: a constant if the program was specialised for it
  std::string target;  // name of the parameter, buffer or constant; kUnsupported: what it is
  bool persistent = true;
};

/// What an output of the graph is.
struct OutputSpec {
  enum class Kind { kUser, kBufferMutation, kInputMutation, kOther };
  Kind kind;
  Value value;
  std::string target;  // of what is mutated
};

/// A program of torch.export: the schema of torch/csrc/utils/generated_serialization_types.h, less
/// what nobody here needs.
struct Program {
  FlatGraph graph;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  std::vector<std::string> input_names;   // of the leaves that the caller gives; "" if unknown
  std::vector<std::string> output_names;  // of the leaves that the caller gets
  std::vector<std::string> module_paths;  // of all modules, called or not
  std::string torch_version;
};

/// Reads model.json. DataError if it is malformed, of another schema version, reads a value before
/// it is computed or computes one twice.
Program parse_program(std::string_view text, const std::string& source_name);

}  // namespace lathe::frontends::torch_export
