#include <fmt/ranges.h>

#include <unordered_map>

#include "base/error.h"
#include "ir/text.h"

namespace lathe::ir {
namespace {

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Always with a point or an exponent, so that it reads back as a floating-point number.
std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string argument_text(const Argument& argument);

struct ArgumentPrinter {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return float_text(value); }
  std::string operator()(const std::string& value) const { return quote(value); }
  std::string operator()(at::ScalarType value) const {
    return fmt::format("@{}", scalar_type_name(value));
  }
  std::string operator()(const Node* node) const { return "%" + node->name; }
  std::string operator()(const Argument::List& list) const {
    std::vector<std::string> items;
    for (const Argument& item : list) items.push_back(argument_text(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
};

std::string argument_text(const Argument& argument) {
  return std::visit(ArgumentPrinter(), argument.value());
}

std::string arguments_text(const Node& node) {
  std::vector<std::string> items;
  for (const Argument& argument : node.args) items.push_back(argument_text(argument));
  for (const auto& [name, argument] : node.kwargs)
    items.push_back(name + "=" + argument_text(argument));
  return fmt::format("{}", fmt::join(items, ", "));
}

std::string node_text(const Node& node) {
  switch (node.kind) {
    case NodeKind::kPlaceholder:
      if (node.args.empty())
        return fmt::format("%{} = placeholder {}", node.name, quote(node.target));
      return fmt::format("%{} = placeholder {} default {}", node.name, quote(node.target),
                         argument_text(node.args[0]));
    case NodeKind::kGetAttr:
      return fmt::format("%{} = get_attr {}", node.name, node.target);
    case NodeKind::kCallOp:
      return fmt::format("%{} = call_op {}({})", node.name, node.target, arguments_text(node));
    case NodeKind::kCallModule:
      return fmt::format("%{} = call_module {}({})", node.name, node.target, arguments_text(node));
    case NodeKind::kOutput:
      return fmt::format("output({})", arguments_text(node));
  }
  throw_internal("unknown node kind");
}

struct AttributePrinter {
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return float_text(value); }
  std::string operator()(const std::string& value) const { return quote(value); }
  std::string operator()(const std::vector<int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
};

class ModulePrinter {
 public:
  std::string text() && { return std::move(out_); }

  void print(const std::string& heading, const Module& module, int depth) {
    line(depth, fmt::format("{}{}{} {{", heading, module.type, module.is_block ? " block" : ""));
    if (module.state) line(depth + 1, "# " + module.state->describe());
    for (const auto& [name, value] : module.attributes) {
      line(depth + 1,
           fmt::format("attribute {} = {}", name, std::visit(AttributePrinter(), value)));
    }
    for (const auto& [name, value] : module.parameters)
      print_parameter("parameter", name, value, depth + 1);
    for (const auto& [name, value] : module.buffers)
      print_parameter("buffer", name, value, depth + 1);
    if (module.graph) print_graph(module.graph, depth + 1);
    for (const auto& [name, child] : module.children)
      print(fmt::format("child {}: ", name), *child, depth + 1);
    line(depth, "}");
  }

  void print_nodes(const Graph& graph, int depth) {
    for (const auto& node : graph.nodes()) line(depth, node_text(*node));
  }

 private:
  void line(int depth, const std::string& text) {
    out_ += std::string(2 * depth, ' ') + text + "\n";
  }

  /// "&3" is the parameter's identity: tied parameters have the same.
  void print_parameter(std::string_view kind, const std::string& name,
                       const ParameterPtr& parameter, int depth) {
    const auto entry = parameters_.emplace(parameter.get(), parameters_.size() + 1).first;
    line(depth, fmt::format("{} {}: {} &{}", kind, name, describe(*parameter), entry->second));
  }

  void print_graph(const GraphPtr& graph, int depth) {
    const auto [entry, is_new] = graphs_.emplace(graph.get(), graphs_.size() + 1);
    if (!is_new) return line(depth, fmt::format("graph @{}", entry->second));
    line(depth, fmt::format("graph @{} {{", entry->second));
    print_nodes(*graph, depth + 1);
    line(depth, "}");
  }

  std::unordered_map<const Graph*, size_t> graphs_;
  std::unordered_map<const Parameter*, size_t> parameters_;
  std::string out_;
};

}  // namespace

std::string print(const Module& module) {
  ModulePrinter printer;
  printer.print("module ", module, 0);
  return std::move(printer).text();
}

std::string print(const Graph& graph) {
  ModulePrinter printer;
  printer.print_nodes(graph, 0);
  return std::move(printer).text();
}

std::string describe(const Parameter& parameter) {
  return fmt::format("{}[{}]", scalar_type_name(parameter.dtype()),
                     fmt::join(parameter.shape(), ", "));
}

}  // namespace lathe::ir
