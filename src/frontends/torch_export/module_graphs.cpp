#include "frontends/torch_export/module_graphs.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "frontends/torch_export/graph_emitter.h"
#include "frontends/torch_export/leaves.h"
#include "frontends/torch_export/module_tree.h"
#include "frontends/torch_export/operators.h"
#include "ir/text.h"
#include "ops/operator_leaves.h"

namespace lathe::frontends::torch_export {
namespace {

using ir::Node;
using ir::NodeKind;

/// A module's content as a call shows it.
struct Content {
  std::string type = {};  // "" for that of its class
  ir::NamedList<ir::Attribute> attributes;
  ir::GraphPtr graph;
  std::string text;  // the same for the same content
};

/// Whether the graph calls all of the module's children, which are numbered, one after the other:
/// Sequential's forward.
bool is_chain(const ir::Graph& graph, const ir::Module& module) {
  const auto& nodes = graph.nodes();
  const size_t calls = module.children.size();
  if (calls == 0 || !module.parameters.empty() || nodes.size() != calls + 2) return false;
  size_t index = 0;
  for (const auto& [name, child] : module.children) {
    const Node& node = *nodes[index + 1];
    if (node.kind != NodeKind::kCallModule || node.target != name ||
        name != std::to_string(index) || node.args.size() != 1 ||
        node.args[0].node() != nodes[index].get()) {
      return false;
    }
    ++index;
  }
  return nodes.front()->kind == NodeKind::kPlaceholder && nodes.back()->args.size() == 1 &&
         nodes.back()->args[0].node() == nodes[calls].get();
}

/// Builds all calls, and puts what they show into the tree's modules.
class ModuleBuilder {
 public:
  ModuleBuilder(Source source, ModuleTree& tree, ProgramSites& sites)
      : source_(std::move(source)), tree_(tree), sites_(sites) {}

  void build() {
    const Call& root = source_.calls.root();
    build_children(root);
    Content content;
    fill(content, [&] {
      GraphEmitter emitter(source_, root);
      emitter.emit_user_inputs();
      emit_items(emitter, root);
      emitter.emit_user_outputs();
      sites_.graphs[""].push_back(emitter.take_operators());
      return emitter.take();
    });
    set_type(*tree_.root(), root.site.type);
    set_content(*tree_.root(), content);
    finish_variants();
  }

  std::unordered_set<std::string> called() const {
    std::unordered_set<std::string> called;
    for (const auto& [path, variants] : variants_) {
      called.insert(path);
      for (size_t i = 1; i < variants.size(); ++i) called.insert(variant_path(path, i));
    }
    return called;
  }

 private:
  void build_children(const Call& call) {
    for (const Call::Item& item : call.items) {
      if (item.call != nullptr) built_[item.call] = build_call(*item.call);
    }
  }

  BuiltCall build_call(const Call& call) {
    build_children(call);
    set_type(*tree_.at(call.site.path), call.site.type);
    BuiltCall built;
    Content content;
    GraphCall operators;
    if (auto leaf = recover(call)) {
      built.inputs = std::move(leaf->arguments);
      built.results = std::move(leaf->results);
      content.attributes = std::move(leaf->attributes);
      content.type = std::move(leaf->type);
    } else {
      built.inputs = outside_values(call);
      built.results = call.outputs;
      fill(content, [&] {
        GraphEmitter emitter(source_, call);
        emitter.emit_placeholders(built.inputs);
        emit_items(emitter, call);
        emitter.emit_outputs();
        operators = emitter.take_operators();
        return emitter.take();
      });
      if (content.graph && is_chain(*content.graph, *tree_.at(call.site.path)))
        content.type = "Sequential";
    }
    const bool is_leaf = content.graph == nullptr;
    built.path = place(call.site.path, std::move(content));
    if (is_leaf) {
      sites_.leaves[built.path].push_back(leaf_call(call, built));
    } else {
      sites_.graphs[built.path].push_back(std::move(operators));
    }
    return built;
  }

  LeafCall leaf_call(const Call& call, const BuiltCall& built) const {
    LeafCall site{.is_one_node = call.end - call.begin == 1};
    if (!built.inputs.empty()) site.input = built.inputs[0];
    if (!built.results.empty()) {
      const FlatNode* node = source_.calls.definition(built.results[0]).node;
      if (node != nullptr) site.node = node->value_name();
      if (const TensorMeta* meta = tensor_meta(built.results[0])) site.rank = meta->sizes.size();
    }
    for (size_t i = call.begin; i < call.end; ++i) {
      const FlatNode& node = source_.program.graph.nodes[i];
      for (const NamedValue& input : node.inputs) {
        const bool reads = input.value.kind == Value::Kind::kName && input.value.text == site.input;
        if (reads) site.reads.push_back({node.value_name(), input.name});
      }
    }
    return site;
  }

  void emit_items(GraphEmitter& emitter, const Call& call) {
    emitter.emit_items([&](const Call& inner) -> const BuiltCall& { return built_.at(&inner); },
                       [&](const BuiltCall& callee) { return child_target(call, callee.path); });
  }

  template <typename Emit>
  static void fill(Content& content, const Emit& emit) {
    try {
      content.graph = emit();
    } catch (const Untraceable& reason) {
      content.attributes.set("failed", reason.reason);
    }
  }

  std::optional<RecoveredLeaf> recover(const Call& call) const {
    const std::string known = torch_nn_type(call.site.type);
    const std::string type = known.empty() ? guess_leaf_type(call) : known;
    if (type.empty()) return std::nullopt;
    const LeafContext context{
        [&](const std::string& value) { return source_.parameter_below(value, call.site.path); },
        [&](const std::string& value) { return tensor_meta(value); },
        [&](const FlatNode& node) { return source_.mutations.private_nodes.contains(&node); }};
    auto leaf = recover_leaf(type, call, context);
    if (!leaf || !covers(leaf->results, call.outputs)) return std::nullopt;
    if (known.empty()) {
      if (!uses_parameters(call)) return std::nullopt;
      leaf->type = type;
    }
    return leaf;
  }

  const TensorMeta* tensor_meta(const std::string& value) const {
    const auto found = source_.program.graph.tensors.find(value);
    const bool is_tensor = found != source_.program.graph.tensors.end() &&
                           !source_.program.graph.symbols.contains(value);
    return is_tensor ? &found->second : nullptr;
  }

  /// Whether the call's only node reads all parameters of the call's module, of which there are
  /// some: without parameters there is nothing to know a class by.
  bool uses_parameters(const Call& call) const {
    const ir::Module& module = *tree_.at(call.site.path);
    size_t read = 0;
    for (const NamedValue& input : call.items[0].node->inputs) {
      for_each_name(input.value, [&](const std::string& value) {
        read += source_.parameter_below(value, call.site.path).empty() ? 0 : 1;
      });
    }
    return read > 0 && read == module.parameters.size() && module.children.empty();
  }

  static bool covers(const std::vector<std::string>& results,
                     const std::vector<std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& value) {
      return std::find(results.begin(), results.end(), value) != results.end();
    });
  }

  /// Values that a call reads and neither computes nor finds among its parameters.
  std::vector<std::string> outside_values(const Call& call) const {
    std::vector<std::string> values;
    std::unordered_set<std::string> seen;
    const auto read = [&](const std::string& value) {
      if (!seen.insert(value).second) return;
      const Definition& definition = source_.calls.definition(value);
      if (definition.node != nullptr && call.contains(definition.position)) return;
      if (!source_.parameter_below(value, call.site.path).empty()) return;
      values.push_back(value);
    };
    for (const Call::Item& item : call.items) {
      if (item.node == nullptr) {
        for (const std::string& value : built_.at(item.call).inputs) read(value);
        continue;
      }
      for (const NamedValue& input : item.node->inputs) for_each_name(input.value, read);
    }
    return values;
  }

  /// How `call`'s graph names the module at `path`: by its path below, or as a child of its own.
  std::string child_target(const Call& call, const std::string& path) {
    const std::string& own = call.site.path;
    if (path != own && is_below(path, own)) return relative_path(path, own);
    std::string alias = path.empty() ? "root" : path;
    std::replace(alias.begin(), alias.end(), '.', '_');
    if (!tree_.add_alias(own, alias, path))
      throw Untraceable{fmt::format("it is called within {}, which it calls", path)};
    return alias;
  }

  /// The path of the module at `path`, or beside it, that has this content.
  std::string place(const std::string& path, Content content) {
    content.text = text_of(content);
    std::vector<Content>& variants = variants_[path];
    const auto known = std::find_if(variants.begin(), variants.end(), [&](const Content& variant) {
      return variant.text == content.text;
    });
    const size_t index = static_cast<size_t>(known - variants.begin());
    if (known == variants.end()) {
      share_graph(content);
      variants.push_back(std::move(content));
    }
    return index == 0 ? path : variant_path(path, index);
  }

  static std::string variant_path(const std::string& path, size_t index) {
    return fmt::format("{}_call{}", path, index);
  }

  static std::string text_of(const Content& content) {
    ir::Module module("");
    module.attributes = content.attributes;
    module.attributes.set("class", content.type);
    return ir::print(module) + (content.graph ? ir::print(*content.graph) : "");
  }

  /// Equal modules at different paths have one Graph.
  void share_graph(Content& content) {
    if (content.graph)
      content.graph = graphs_.try_emplace(content.text, content.graph).first->second;
  }

  static void set_content(ir::Module& module, const Content& content) {
    if (!content.type.empty() && content.type != module.type) {
      module.attributes.set("class", module.type);
      module.type = content.type;
    }
    for (const auto& [name, attribute] : content.attributes) module.attributes.set(name, attribute);
    module.graph = content.graph;
  }

  void set_type(ir::Module& module, const std::string& class_name) const {
    if (!module.type.empty()) return;
    const std::string name = class_name.substr(class_name.rfind('.') + 1);
    const bool is_torch_nn = !torch_nn_type(class_name).empty();
    module.type = !is_torch_nn && is_taken(name) ? class_name : name;
    if (module.type.empty()) module.type = "Module";
  }

  /// Whether torch.nn has a module of that name that means something to Lathe.
  static bool is_taken(const std::string& name) {
    const auto leaves = ops::operator_leaves();
    return name == "Sequential" || name == "ModuleList" ||
           std::any_of(leaves.begin(), leaves.end(),
                       [&](const ops::OperatorLeaf& leaf) { return leaf.type == name; });
  }

  void finish_variants() {
    for (const auto& [path, variants] : variants_) {
      set_content(*tree_.at(path), variants[0]);
      // All are there before the first takes over its original's children.
      for (size_t i = 1; i < variants.size(); ++i) tree_.at(variant_path(path, i));
    }
    for (const auto& [path, variants] : variants_) {
      for (size_t i = 1; i < variants.size(); ++i) {
        const ir::Module& original = *tree_.at(path);
        ir::Module& variant = *tree_.at(variant_path(path, i));
        variant.type = original.type;
        variant.parameters = original.parameters;
        variant.buffers = original.buffers;
        variant.children = original.children;
        set_content(variant, variants[i]);
      }
    }
  }

  Source source_;
  ModuleTree& tree_;
  ProgramSites& sites_;
  std::unordered_map<const Call*, BuiltCall> built_;
  std::map<std::string, std::vector<Content>> variants_;
  std::unordered_map<std::string, ir::GraphPtr> graphs_;
};

std::unordered_set<std::string> read_values(const FlatGraph& graph) {
  std::unordered_set<std::string> read;
  const auto add = [&](const std::string& name) { read.insert(name); };
  for (const FlatNode& node : graph.nodes) {
    for (const NamedValue& input : node.inputs) for_each_name(input.value, add);
  }
  for (const Value& output : graph.outputs) for_each_name(output, add);
  return read;
}

std::string size_text(const TensorMeta& meta) {
  std::string text;
  for (const auto& size : meta.sizes)
    text += (text.empty() ? "" : ", ") + (size ? std::to_string(*size) : "?");
  return text;
}

void check_tensors(const Program& program, const Parameters& parameters,
                   const std::string& source_name) {
  for (const InputSpec& spec : program.inputs) {
    if (spec.kind == InputSpec::Kind::kUser || spec.kind == InputSpec::Kind::kUnsupported) continue;
    const ir::ParameterPtr parameter = parameters.find(spec.target);
    if (!parameter) throw_data("{}: the archive has no tensor {}", source_name, spec.target);
    const auto meta = program.graph.tensors.find(spec.value.text);
    if (meta == program.graph.tensors.end()) continue;
    const std::vector<int64_t>& sizes = parameter->shape();
    const bool same = std::equal(sizes.begin(), sizes.end(), meta->second.sizes.begin(),
                                 meta->second.sizes.end());
    if (!same) {
      throw_data("{}: {} is {} in the archive, the program takes [{}]", source_name, spec.target,
                 ir::describe(*parameter), size_text(meta->second));
    }
  }
  for (const OutputSpec& spec : program.outputs) {
    if (spec.kind == OutputSpec::Kind::kBufferMutation && !parameters.find(spec.target))
      throw_data("{}: the archive has no tensor {}", source_name, spec.target);
  }
}

}  // namespace

ir::ModulePtr build_modules(const Program& program, const Parameters& parameters,
                            const Mutations& mutations, const std::string& source_name,
                            ProgramSites& sites) {
  check_tensors(program, parameters, source_name);
  ModuleTree tree(source_name);
  for (const std::string& path : program.module_paths) tree.at(path);
  for (const Parameters::Entry& entry : parameters.entries()) tree.add_parameter(entry);
  const CallTree calls(program.graph);
  ModuleBuilder builder(
      {program, parameters, mutations, calls, InputTable(program), read_values(program.graph)},
      tree, sites);
  builder.build();
  tree.check_paths();
  tree.name_types();
  tree.join_shared(builder.called());
  return tree.root();
}

}  // namespace lathe::frontends::torch_export
