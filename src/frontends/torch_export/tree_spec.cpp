#include "frontends/torch_export/tree_spec.h"

#include "base/error.h"
#include "io/json.h"

namespace lathe::frontends::torch_export {
namespace {

/// Keys as a context spells them: a list of strings, maybe within a larger one (defaultdict).
std::vector<std::string> keys_in(const nlohmann::json& context) {
  std::vector<std::string> keys;
  if (context.is_object() && context.contains("dict_context"))
    return keys_in(context["dict_context"]);
  if (!context.is_array()) return keys;
  for (const nlohmann::json& key : context) {
    if (key.is_string()) keys.push_back(key);
    if (key.is_number_integer()) keys.push_back(key.dump());
  }
  return keys;
}

class LeafNamer {
 public:
  LeafNamer(const FieldNames& fields, const std::string& root) : fields_(fields), root_(root) {}

  void walk(const JsonField& node, const std::string& path) {
    const JsonField type = node.at("type");
    if (type.is_null()) {
      names_.push_back(path.empty() ? root_ : path);
      return;
    }
    const std::vector<JsonField> children = node.at("children_spec").items();
    const std::vector<std::string> keys = child_names(type.string(), node, children.size());
    for (size_t i = 0; i < children.size(); ++i) {
      const bool bare_index = path.empty() && keys.empty();
      const std::string& start = bare_index ? root_ : path;
      const std::string key = keys.empty() ? std::to_string(i) : keys[i];
      walk(children[i], start.empty() ? key : start + "_" + key);
    }
  }

  std::vector<std::string> take() { return std::move(names_); }

 private:
  /// Empty if the children have no names.
  std::vector<std::string> child_names(const std::string& type, const JsonField& node,
                                       size_t count) const {
    std::vector<std::string> keys;
    const JsonField context = node.at("context");
    if (const auto fields = fields_.find(type); fields != fields_.end()) keys = fields->second;
    if (context.is_string()) {
      if (const auto fields = fields_.find(context.string()); fields != fields_.end())
        keys = fields->second;
      if (keys.empty()) keys = keys_in(parse_context(context));
    }
    return keys.size() == count ? keys : std::vector<std::string>();
  }

  /// A context is JSON text, or a text of its type's own.
  static nlohmann::json parse_context(const JsonField& context) {
    const std::string& text = context.string();
    if (!text.starts_with('[') && !text.starts_with('{')) return nullptr;
    try {
      return io::parse_json(text, context.where());
    } catch (const DataError&) {
      return nullptr;
    }
  }

  const FieldNames& fields_;
  const std::string& root_;
  std::vector<std::string> names_;
};

}  // namespace

FieldNames namedtuple_fields(const JsonField& graph_module) {
  FieldNames fields;
  if (!graph_module.has("treespec_namedtuple_fields")) return fields;
  for (const auto& [type, definition] : graph_module.at("treespec_namedtuple_fields").members()) {
    for (const JsonField& name : definition.at("field_names").items())
      fields[type].push_back(name.string());
  }
  return fields;
}

std::vector<std::string> leaf_names(const JsonField& spec, const FieldNames& fields,
                                    const std::string& root) {
  if (spec.string().empty()) return {};
  const nlohmann::json json = io::parse_json(spec.string(), spec.where());
  const std::vector<JsonField> parts = JsonField(json, spec.where()).items();
  if (parts.size() != 2 || parts[0].integer() != 1)
    throw_data("{}: expected a pytree spec of version 1", spec.where());
  LeafNamer namer(fields, root);
  namer.walk(parts[1], {});
  return namer.take();
}

}  // namespace lathe::frontends::torch_export
