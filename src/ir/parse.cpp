#include <cctype>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "base/checked.h"
#include "base/error.h"
#include "ir/scalar_types.h"
#include "ir/text.h"

namespace lathe::ir {
namespace {

constexpr int kMaxDepth = 200;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ':';
}

/// Reads tokens of the text form; errors name the line.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[noreturn]] void fail(std::string_view expected) {
    const std::string_view rest = text_.substr(position_, 20);
    throw_data("line {}: expected {}, found \"{}\"", line_, expected,
               rest.substr(0, rest.find('\n')));
  }

  bool at_end() {
    skip_space();
    return position_ == text_.size();
  }

  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(position_, token.size()) != token) return false;
    const size_t end = position_ + token.size();
    const bool is_name = std::isalnum(static_cast<unsigned char>(token.back()));
    if (is_name && end < text_.size() && is_word(text_[end])) return false;
    position_ = end;
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) fail(fmt::format("\"{}\"", token));
  }

  std::string word() {
    skip_space();
    const size_t start = position_;
    while (position_ < text_.size() && is_word(text_[position_])) ++position_;
    if (start == position_) fail("a name");
    return std::string(text_.substr(start, position_ - start));
  }

  /// A name that stops before a colon ("child layers: ModuleList").
  std::string plain_name() {
    skip_space();
    const size_t start = position_;
    while (position_ < text_.size() && is_word(text_[position_]) && text_[position_] != ':')
      ++position_;
    if (start == position_) fail("a name");
    return std::string(text_.substr(start, position_ - start));
  }

  bool peek(char c) {
    skip_space();
    return position_ < text_.size() && text_[position_] == c;
  }

  std::string string() {
    expect("\"");
    std::string out;
    while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\n') {
      char c = text_[position_++];
      if (c == '\\') {
        if (position_ == text_.size()) fail("an escaped character");
        c = text_[position_++];
        if (c == 'n') c = '\n';
      }
      out += c;
    }
    if (position_ == text_.size() || text_[position_] == '\n') fail("a closing quote");
    ++position_;
    return out;
  }

  /// An integer, or a floating-point number if it has a point or an exponent.
  std::variant<int64_t, double> number() {
    skip_space();
    const size_t start = position_;
    if (position_ < text_.size() && text_[position_] == '-') ++position_;
    while (position_ < text_.size() && (is_word(text_[position_]) || exponent_sign(start)))
      ++position_;
    const std::string_view token = text_.substr(start, position_ - start);
    if (const auto integer = whole<int64_t>(token)) return *integer;
    const bool only_digits = token.find_first_not_of("-0123456789") == token.npos;
    if (const auto real = whole<double>(token); real && !only_digits) return *real;
    position_ = start;
    fail("a number of 64 bits");
  }

  int64_t integer() {
    const auto value = number();
    if (!std::holds_alternative<int64_t>(value)) fail("an integer");
    return std::get<int64_t>(value);
  }

 private:
  /// The number that all of the token is, if it fits T.
  template <typename T>
  static std::optional<T> whole(std::string_view token) {
    T value{};
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return std::nullopt;
    return value;
  }

  bool exponent_sign(size_t start) const {
    const char c = text_[position_];
    return (c == '-' || c == '+') && position_ > start && text_[position_ - 1] == 'e';
  }

  void skip_space() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '#') {
        while (position_ < text_.size() && text_[position_] != '\n') ++position_;
      } else if (std::isspace(static_cast<unsigned char>(c))) {
        if (c == '\n') ++line_;
        ++position_;
      } else {
        return;
      }
    }
  }

  std::string_view text_;
  size_t position_ = 0;
  int line_ = 1;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : scan_(text) {}

  ModulePtr module_text() {
    scan_.expect("module");
    ModulePtr module = module_body(0);
    if (!scan_.at_end()) scan_.fail("the end of the text");
    return module;
  }

  GraphPtr graph_text() {
    auto graph = std::make_shared<Graph>();
    while (!scan_.at_end()) parse_node(*graph);
    return graph;
  }

 private:
  ModulePtr module_body(int depth) {
    if (depth > kMaxDepth) scan_.fail(fmt::format("at most {} levels of modules", kMaxDepth));
    ModulePtr module = make_module(scan_.plain_name());
    module->is_block = scan_.accept("block");
    scan_.expect("{");
    while (!scan_.accept("}")) parse_member(*module, depth);
    return module;
  }

  void parse_member(Module& module, int depth) {
    if (scan_.accept("attribute")) {
      const std::string name = new_name(module.attributes, scan_.word());
      scan_.expect("=");
      module.attributes.set(name, attribute());
    } else if (scan_.accept("parameter")) {
      parse_parameter(module.parameters);
    } else if (scan_.accept("buffer")) {
      parse_parameter(module.buffers);
    } else if (scan_.accept("graph")) {
      if (module.graph) scan_.fail("one graph a module");
      module.graph = graph_reference();
    } else if (scan_.accept("child")) {
      const std::string name = new_name(module.children, scan_.plain_name());
      scan_.expect(":");
      module.add_child(name, module_body(depth + 1));
    } else {
      scan_.fail("attribute, parameter, buffer, graph, child or \"}\"");
    }
  }

  template <typename Value>
  std::string new_name(const NamedList<Value>& list, std::string name) {
    if (list.find(name) != nullptr)
      scan_.fail(fmt::format("a name other than {}, which is taken", name));
    return name;
  }

  Attribute attribute() {
    if (scan_.accept("True")) return true;
    if (scan_.accept("False")) return false;
    if (scan_.peek('"')) return scan_.string();
    if (scan_.accept("[")) return integers_until_bracket();
    const auto value = scan_.number();
    if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
    return std::get<double>(value);
  }

  std::vector<int64_t> integers_until_bracket() {
    std::vector<int64_t> items;
    while (!scan_.accept("]")) {
      if (!items.empty()) scan_.expect(",");
      items.push_back(scan_.integer());
    }
    return items;
  }

  void parse_parameter(NamedList<ParameterPtr>& list) {
    const std::string name = new_name(list, scan_.plain_name());
    scan_.expect(":");
    const at::ScalarType type = scalar_type(scan_.word());
    scan_.expect("[");
    const std::vector<int64_t> shape = integers_until_bracket();
    if (!checked_numel(shape)) scan_.fail("sizes of a tensor before this");
    scan_.expect("&");
    ParameterPtr& parameter = parameters_[scan_.integer()];
    if (!parameter) parameter = std::make_shared<Parameter>(type, shape, nullptr);
    if (parameter->dtype() != type || parameter->shape() != shape) {
      scan_.fail(fmt::format("the dtype and shape of this parameter's first mention, {}",
                             describe(*parameter)));
    }
    list.set(name, parameter);
  }

  at::ScalarType scalar_type(const std::string& name) {
    const auto type = scalar_type_from_name(name);
    if (!type) scan_.fail("a dtype before this");
    return *type;
  }

  GraphPtr graph_reference() {
    scan_.expect("@");
    GraphPtr& entry = graphs_[scan_.integer()];
    if (!scan_.accept("{")) {
      if (!entry) scan_.fail("a graph that was written before");
      return entry;
    }
    if (entry) scan_.fail("a graph's number that is not taken");
    auto graph = std::make_shared<Graph>();
    while (!scan_.accept("}")) parse_node(*graph);
    entry = std::move(graph);
    return entry;
  }

  void parse_node(Graph& graph) {
    if (scan_.accept("output")) {
      Node node{NodeKind::kOutput, {}, {}, {}, {}};
      arguments(graph, node);
      graph.append(std::move(node));
      return;
    }
    scan_.expect("%");
    Node node{NodeKind::kPlaceholder, scan_.word(), {}, {}, {}};
    if (graph.find(node.name) != nullptr)
      scan_.fail(fmt::format("a name other than %{}, which is taken", node.name));
    scan_.expect("=");
    parse_right_side(graph, node);
    graph.append(std::move(node));
  }

  void parse_right_side(Graph& graph, Node& node) {
    if (scan_.accept("placeholder")) {
      node.target = scan_.string();
      if (scan_.accept("default")) node.args.push_back(argument(Graph(), 0));  // a constant
    } else if (scan_.accept("get_attr")) {
      node.kind = NodeKind::kGetAttr;
      node.target = scan_.word();
    } else if (scan_.accept("call_op")) {
      node.kind = NodeKind::kCallOp;
      node.target = scan_.word();
      arguments(graph, node);
    } else if (scan_.accept("call_module")) {
      node.kind = NodeKind::kCallModule;
      node.target = scan_.word();
      arguments(graph, node);
    } else {
      scan_.fail("placeholder, get_attr, call_op or call_module");
    }
  }

  void arguments(Graph& graph, Node& node) {
    scan_.expect("(");
    bool first = true;
    while (!scan_.accept(")")) {
      if (!first) scan_.expect(",");
      first = false;
      if (auto name = keyword()) {
        node.kwargs.emplace_back(*name, argument(graph, 0));
      } else {
        node.args.push_back(argument(graph, 0));
      }
    }
  }

  std::optional<std::string> keyword() {
    const Scanner start = scan_;
    if (!scan_.peek('"') && !scan_.peek('%') && !scan_.peek('[') && !scan_.peek('@') &&
        !scan_.peek('-')) {
      std::string name = scan_.word();
      if (scan_.accept("=")) return name;
    }
    scan_ = start;
    return std::nullopt;
  }

  Argument argument(const Graph& graph, int depth) {
    if (depth > kMaxDepth) scan_.fail(fmt::format("at most {} levels of lists", kMaxDepth));
    if (scan_.accept("None")) return {};
    if (scan_.accept("True")) return true;
    if (scan_.accept("False")) return false;
    if (scan_.peek('"')) return scan_.string();
    if (scan_.accept("@")) return scalar_type(scan_.word());
    if (scan_.accept("%")) {
      const std::string name = scan_.word();
      const Node* node = graph.find(name);
      if (node == nullptr) scan_.fail(fmt::format("a value that was computed before %{}", name));
      return node;
    }
    if (scan_.accept("[")) {
      Argument::List list;
      while (!scan_.accept("]")) {
        if (!list.empty()) scan_.expect(",");
        list.push_back(argument(graph, depth + 1));
      }
      return list;
    }
    const auto value = scan_.number();
    if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
    return std::get<double>(value);
  }

  Scanner scan_;
  std::unordered_map<int64_t, GraphPtr> graphs_;
  std::unordered_map<int64_t, ParameterPtr> parameters_;
};

}  // namespace

ModulePtr parse_module(std::string_view text) { return Parser(text).module_text(); }
GraphPtr parse_graph(std::string_view text) { return Parser(text).graph_text(); }

}  // namespace lathe::ir
