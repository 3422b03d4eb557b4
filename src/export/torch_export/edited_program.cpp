#include "export/torch_export/edited_program.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "export/torch_export/node_maker.h"
#include "export/torch_export/scheme_check.h"

namespace lathe::exporting {
namespace {

constexpr const char* kDecomposed = "torch.ops.quantized_decomposed.";
constexpr const char* kAten = "torch.ops.aten.";

/// "b_conv_weight" for conv.weight.
std::string placeholder_name(char kind, std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return std::string{kind, '_'} + name;
}

template <typename T>
TensorSource values_source(DType dtype, std::vector<int64_t> shape, std::vector<T> values) {
  return {dtype, std::move(shape), [values = std::move(values)](const ByteSink& sink) {
            sink(std::as_bytes(std::span(values)));
          }};
}

std::vector<int64_t> zero_points_of(const QdqScheme& scheme) {
  if (!scheme.zero_points.empty()) return scheme.zero_points;
  return std::vector<int64_t>(scheme.scales.size(), 0);
}

class Editor {
 public:
  Editor(const ProgramJson& program, const EditPlan& plan)
      : program_(program), plan_(plan), maker_(program) {
    result_.json = program.root();
    result_.removed = plan.removed;
  }

  EditedProgram edit() {
    for (const PlannedPair& pair : plan_.outputs) quantize_output(pair);
    for (const PlannedWeight& weight : plan_.weights) dequantize_weight(weight);
    for (const PlannedBias& bias : plan_.biases) add_bias(bias);
    for (const PlannedReplacement& replaced : plan_.replaced) replace(replaced);
    for (const PlannedPair& pair : plan_.activations) quantize_activation(pair);
    rewrite_nodes();
    rewrite_outputs();
    rewrite_inputs();
    drop_values();
    return std::move(result_);
  }

 private:
  Json& module() { return result_.json["graph_module"]; }
  Json& values() { return module()["graph"]["tensor_values"]; }

  /// What a reader of the source's value reads now.
  std::string current(const std::string& value) const {
    const std::string& resolved = plan_.resolve(value);
    const auto found = renamed_.find(resolved);
    return found == renamed_.end() ? resolved : found->second;
  }

  /// A new node; its value's name.
  std::string emit(const std::string& target, std::vector<NewArgument> arguments, Json meta,
                   const Place& place) {
    // "torch.ops.aten.mul.Tensor" gives "mul_tensor", as torch names values.
    std::string base = target.substr(target.find('.', std::string_view("torch.ops.").size()) + 1);
    std::replace(base.begin(), base.end(), '.', '_');
    std::transform(base.begin(), base.end(), base.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (base.front() == '_') base.erase(0, 1);
    const std::string result = maker_.fresh_name(base);
    values()[result] = std::move(meta);
    new_nodes_[place.position].push_back(maker_.node(target, arguments, result, place));
    return result;
  }

  // Activations

  std::string cast(const std::string& value, DType dtype, const Json& like, const Place& place) {
    return emit(std::string(kAten) + "_to_copy.default",
                {{"self", tensor_argument(value)}, {"dtype", dtype_argument(dtype), true}},
                same_shape_meta(dtype, like), place);
  }

  /// The value's codes in float8, rounded once.
  std::string quantize_float8(std::string value, const QdqScheme& scheme, const Json& like,
                              DType dtype, const Place& place) {
    if (dtype != DType::kF32) value = cast(value, DType::kF32, like, place);
    const Json meta = same_shape_meta(DType::kF32, like);
    value = emit(std::string(kAten) + "mul.Tensor",
                 {{"self", tensor_argument(value)},
                  {"other", float_argument(1.0 / static_cast<double>(scheme.scales[0]))}},
                 meta, place);
    value = emit(std::string(kAten) + "clamp.default",
                 {{"self", tensor_argument(value)},
                  {"min", float_argument(static_cast<double>(scheme.quant_min))},
                  {"max", float_argument(static_cast<double>(scheme.quant_max))}},
                 meta, place);
    return cast(value, scheme.dtype, like, place);
  }

  std::vector<NewArgument> per_tensor(const std::string& value, const QdqScheme& scheme) const {
    return {{"input", tensor_argument(value)},
            {"scale", float_argument(static_cast<double>(scheme.scales[0]))},
            {"zero_point", int_argument(zero_points_of(scheme)[0])},
            {"quant_min", int_argument(scheme.quant_min)},
            {"quant_max", int_argument(scheme.quant_max)},
            {"dtype", dtype_argument(scheme.dtype)}};
  }

  /// Without out_dtype the operators give float32.
  static void add_out_dtype(std::vector<NewArgument>& arguments, DType dtype) {
    if (dtype != DType::kF32) arguments.push_back({"out_dtype", dtype_argument(dtype), true});
  }

  std::string dequantize_per_tensor(const std::string& codes, const QdqScheme& scheme,
                                    const Json& like, DType dtype, const Place& place) {
    auto arguments = per_tensor(codes, scheme);
    add_out_dtype(arguments, dtype);
    return emit(std::string(kDecomposed) + "dequantize_per_tensor.default", std::move(arguments),
                same_shape_meta(dtype, like), place);
  }

  /// The dequantized value.
  std::string quantize(const std::string& value, const PlannedPair& pair) {
    const auto meta = *program_.meta(pair.value);
    const Json like = *meta.json;
    ++result_.quantizers;
    const std::string codes =
        is_float8(pair.scheme.dtype)
            ? quantize_float8(value, pair.scheme, like, *meta.dtype, pair.place)
            : emit(std::string(kDecomposed) + "quantize_per_tensor.default",
                   per_tensor(value, pair.scheme), same_shape_meta(pair.scheme.dtype, like),
                   pair.place);
    return dequantize_per_tensor(codes, pair.scheme, like, *meta.dtype, pair.place);
  }

  void quantize_output(const PlannedPair& pair) {
    renamed_[pair.value] = quantize(pair.value, pair);
  }

  void quantize_activation(const PlannedPair& pair) {
    const std::string dequantized = quantize(current(pair.value), pair);
    for (const Read& read : pair.readers)
      redirected_[{read.node, read.argument, read.item}] = dequantized;
  }

  // Weights

  /// A new input of the program; its value's name.
  std::string add_input(StoredTensor tensor) {
    const std::string value =
        maker_.fresh_name(placeholder_name(tensor.is_parameter ? 'p' : 'b', tensor.name));
    values()[value] = tensor.meta;
    new_inputs_.push_back({tensor.name, value, tensor.is_parameter});
    result_.tensors.push_back(std::move(tensor));
    return value;
  }

  std::string add_buffer(const std::string& name, TensorSource source, const Json& like) {
    Json meta = tensor_meta(source.dtype, source.shape, false, like);
    return add_input({name, std::move(source), false, std::move(meta)});
  }

  std::vector<int64_t> scales_shape(const WeightEdit& edit) const {
    const QdqScheme& scheme = edit.scheme;
    const auto& shape = edit.codes.shape;
    if (scheme.group_size) return {shape[0], shape[1] / *scheme.group_size};
    const auto axis = static_cast<size_t>(*scheme.axis);
    if (!is_float8(scheme.dtype)) return {shape[axis]};
    std::vector<int64_t> broadcast(shape.size(), 1);  // for mul
    broadcast[axis] = shape[axis];
    return broadcast;
  }

  void dequantize_weight(const PlannedWeight& weight) {
    const WeightEdit& edit = *weight.edit;
    const auto meta = *program_.meta(weight.input.value);
    const Json like = *meta.json;
    const std::string codes = add_buffer(edit.name, edit.codes, like);
    replaced_inputs_.insert(weight.input.index);
    const Json dense = tensor_meta(*meta.dtype, edit.codes.shape, false, like);
    ++result_.dequantized_weights;
    if (!edit.scheme.axis && !edit.scheme.group_size) {
      renamed_[weight.input.value] =
          dequantize_per_tensor(codes, edit.scheme, dense, *meta.dtype, weight.place);
      return;
    }
    const std::string scales =
        add_buffer(edit.name + "_scale",
                   values_source(DType::kF32, scales_shape(edit), edit.scheme.scales), like);
    renamed_[weight.input.value] =
        is_float8(edit.scheme.dtype)
            ? scale_float8(codes, scales, dense, *meta.dtype, weight.place)
            : dequantize_many(edit, codes, scales, dense, *meta.dtype, weight.place);
  }

  /// quantized_decomposed::dequantize_per_channel cannot compute with float8.
  std::string scale_float8(const std::string& codes, const std::string& scales, const Json& like,
                           DType dtype, const Place& place) {
    const std::string values = cast(codes, DType::kF32, like, place);
    const std::string scaled =
        emit(std::string(kAten) + "mul.Tensor",
             {{"self", tensor_argument(values)}, {"other", tensor_argument(scales)}},
             same_shape_meta(DType::kF32, like), place);
    return dtype == DType::kF32 ? scaled : cast(scaled, dtype, like, place);
  }

  /// Per channel or per group.
  std::string dequantize_many(const WeightEdit& edit, const std::string& codes,
                              const std::string& scales, const Json& like, DType dtype,
                              const Place& place) {
    const QdqScheme& scheme = edit.scheme;
    const std::string zero_points =
        add_buffer(edit.name + "_zero_point",
                   values_source(DType::kI64, scales_shape(edit), zero_points_of(scheme)), like);
    std::vector<NewArgument> arguments = {{"input", tensor_argument(codes)},
                                          {"scales", tensor_argument(scales)},
                                          {"zero_points", tensor_argument(zero_points)}};
    if (scheme.axis) arguments.push_back({"axis", int_argument(*scheme.axis)});
    arguments.push_back({"quant_min", int_argument(scheme.quant_min)});
    arguments.push_back({"quant_max", int_argument(scheme.quant_max)});
    arguments.push_back({"dtype", dtype_argument(scheme.dtype)});
    if (scheme.axis) {
      add_out_dtype(arguments, dtype);
    } else {
      arguments.push_back({"group_size", int_argument(*scheme.group_size)});
      arguments.push_back({"output_dtype", dtype_argument(dtype)});
    }
    return emit(std::string(kDecomposed) + (scheme.axis ? "dequantize_per_channel.default"
                                                        : "dequantize_per_channel_group.default"),
                std::move(arguments), same_shape_meta(dtype, like), place);
  }

  void replace(const PlannedReplacement& replaced) {
    const Json& like = *program_.meta(replaced.input.value)->json;
    const TensorSource& source = replaced.edit->values;
    Json meta = tensor_meta(source.dtype, source.shape, like["requires_grad"] == true, like);
    values()[replaced.input.value] = meta;
    result_.tensors.push_back(
        {replaced.edit->name, source, replaced.input.is_parameter, std::move(meta)});
  }

  void add_bias(const PlannedBias& bias) {
    const size_t weight = *program_.find_argument(bias.node, "weight");
    const Json& inputs = program_.nodes()[bias.node]["inputs"];
    bool requires_grad = false;
    for_each_tensor(inputs[weight]["arg"], [&](const Json& name, size_t) {
      requires_grad = (*program_.meta(name)->json)["requires_grad"] == true;
    });
    const TensorSource& source = bias.edit->values;
    const Json& like = *program_.meta(bias.edit->node)->json;
    const std::string value =
        add_input({bias.edit->name, source, true,
                   tensor_meta(source.dtype, source.shape, requires_grad, like)});
    biases_[bias.node] = {weight, value};
  }

  // The new graph

  void rename_in(Json& argument, size_t node, size_t index) {
    for_each_tensor(argument, [&](Json& name, size_t item) {
      const auto redirected = redirected_.find({node, index, item});
      name = redirected == redirected_.end() ? current(name) : redirected->second;
    });
  }

  void set_bias(Json& node, size_t weight, const std::string& value) const {
    const Json argument = maker_.input({"bias", tensor_argument(value)});
    Json& inputs = node["inputs"];
    for (Json& input : inputs) {
      if (input["name"] == "bias") {
        input["arg"] = argument["arg"];
        return;
      }
    }
    inputs.insert(inputs.begin() + static_cast<std::ptrdiff_t>(weight) + 1, argument);
  }

  void rewrite_nodes() {
    Json nodes = Json::array();
    Json& old = module()["graph"]["nodes"];
    const auto insert_new = [&](size_t position) {
      const auto found = new_nodes_.find(position);
      if (found == new_nodes_.end()) return;
      for (Json& node : found->second) nodes.push_back(std::move(node));
    };
    for (size_t i = 0; i < old.size(); ++i) {
      insert_new(i);
      if (plan_.dropped.contains(i)) continue;
      Json& inputs = old[i]["inputs"];
      for (size_t a = 0; a < inputs.size(); ++a) rename_in(inputs[a]["arg"], i, a);
      if (const auto bias = biases_.find(i); bias != biases_.end())
        set_bias(old[i], bias->second.weight, bias->second.value);
      nodes.push_back(std::move(old[i]));
    }
    insert_new(old.size());
    old = std::move(nodes);
  }

  void rewrite_outputs() {
    const auto rename = [&](Json& argument) {
      for_each_tensor(argument, [&](Json& name, size_t) { name = current(name); });
    };
    for (Json& output : module()["graph"]["outputs"]) rename(output);
    for (Json& spec : module()["signature"]["output_specs"]) {
      for (auto& item : spec.items()) {
        if (!item.value().is_object() || !item.value().contains("arg")) continue;
        Json& argument = item.value()["arg"];
        // Of the user's outputs an Argument, of others a TensorArgument.
        if (argument.is_object() && argument.contains("name") && argument["name"].is_string()) {
          argument["name"] = current(argument["name"]);
        } else {
          rename(argument);
        }
      }
    }
    for (Json& call : module()["module_call_graph"]) {
      if (!call.contains("signature") || !call["signature"].is_object()) continue;
      for (const char* list : {"inputs", "outputs"}) {
        if (!call["signature"].contains(list) || !call["signature"][list].is_array()) continue;
        for (Json& argument : call["signature"][list]) rename(argument);
      }
    }
  }

  struct NewInput {
    std::string name;
    std::string value;
    bool is_parameter;
  };

  static Json spec_of(const NewInput& input) {
    const Json argument = {{"name", input.value}};
    if (input.is_parameter)
      return {{"parameter", {{"arg", argument}, {"parameter_name", input.name}}}};
    return {{"buffer", {{"arg", argument}, {"buffer_name", input.name}, {"persistent", true}}}};
  }

  bool is_dropped_input(size_t index) const {
    if (replaced_inputs_.contains(index)) return true;
    for (const std::string& name : plan_.removed) {
      if (program_.find_saved(name)->index == index) return true;
    }
    return false;
  }

  /// New parameters follow the last parameter, new buffers the last buffer.
  void rewrite_inputs() {
    Json& old_inputs = module()["graph"]["inputs"];
    Json& old_specs = module()["signature"]["input_specs"];
    Json inputs = Json::array();
    Json specs = Json::array();
    const auto insert_new = [&](bool parameters) {
      for (const NewInput& input : new_inputs_) {
        if (input.is_parameter != parameters) continue;
        inputs.push_back(tensor_argument(input.value));
        specs.push_back(spec_of(input));
      }
    };
    const auto is_kind = [&](size_t index, const char* kind) {
      return old_specs[index].contains(kind) && !old_specs[index][kind].is_null();
    };
    size_t last_parameter = 0, last_buffer = 0;  // behind it
    for (size_t i = 0; i < old_specs.size(); ++i) {
      if (is_kind(i, "parameter") || is_kind(i, "token")) last_parameter = i + 1;
      if (is_kind(i, "buffer")) last_buffer = i + 1;
    }
    last_buffer = std::max(last_buffer, last_parameter);
    for (size_t i = 0; i <= old_specs.size(); ++i) {
      if (i == last_parameter) insert_new(true);
      if (i == last_buffer) insert_new(false);
      if (i == old_specs.size() || is_dropped_input(i)) continue;
      inputs.push_back(std::move(old_inputs[i]));
      specs.push_back(std::move(old_specs[i]));
    }
    old_inputs = std::move(inputs);
    old_specs = std::move(specs);
  }

  void drop_values() {
    for (size_t node : plan_.dropped) {
      for (const std::string& value : program_.results(node)) values().erase(value);
    }
    for (const std::string& name : plan_.removed) values().erase(program_.find_saved(name)->value);
    for (const PlannedWeight& weight : plan_.weights) values().erase(weight.input.value);
  }

  struct BiasArgument {
    size_t weight;  // index of the argument before it
    std::string value;
  };

  const ProgramJson& program_;
  const EditPlan& plan_;
  NodeMaker maker_;
  EditedProgram result_;
  std::unordered_map<std::string, std::string> renamed_;                  // for all readers
  std::map<std::tuple<size_t, size_t, size_t>, std::string> redirected_;  // for one reader
  std::map<size_t, std::vector<Json>> new_nodes_;  // before the node of that index
  std::map<size_t, BiasArgument> biases_;
  std::vector<NewInput> new_inputs_;
  std::set<size_t> replaced_inputs_;
};

}  // namespace

EditedProgram apply_edits(const ProgramJson& program, const EditPlan& plan) {
  return Editor(program, plan).edit();
}

}  // namespace lathe::exporting
