#include <algorithm>
#include <array>

#include "base/error.h"
#include "trace/operator_classes.h"
#include "trace/structure.h"
#include "trace/unit_flow.h"

namespace lathe::trace {
namespace {

/// A setting of a convolution for each spatial dimension: given for each, once for all, or not.
std::vector<int64_t> settings(const c10::IValue& value, size_t count, int64_t otherwise) {
  std::vector<int64_t> given;
  if (value.isIntList()) given = value.toIntVector();
  if (value.isInt()) given = {value.toInt()};
  if (given.size() == 1) given.resize(count, given[0]);
  if (given.size() != count) given.assign(count, otherwise);
  return given;
}

/// Sizes of a convolution's value, which LibTorch does not compute without data.
std::vector<int64_t> conv_sizes(const OpCall& call, const UnitValue& x, const UnitValue& weight,
                                bool transposed) {
  const AxisTable& axes = call.flow.axes();
  const size_t spatial = weight.rank() - 2;
  std::vector<int64_t> sizes;
  for (const AxisId axis : x.dims) sizes.push_back(axes.size(axis));
  const auto stride = settings(call.value("stride"), spatial, 1);
  const auto dilation = settings(call.value("dilation"), spatial, 1);
  const auto padding = settings(call.value("padding"), spatial, 0);
  const auto added = settings(call.value("output_padding"), spatial, 0);
  const c10::IValue& named = call.value("padding");
  const bool is_same = named.isString() && named.toStringRef() == "same";
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t kernel = dilation[i] * (axes.size(weight.dims[i + 2]) - 1) + 1;
    int64_t& size = sizes.at(x.rank() - spatial + i);
    if (is_same) continue;
    if (transposed) {
      size = (size - 1) * stride[i] - 2 * padding[i] + kernel + added[i];
    } else {
      size = (size + 2 * padding[i] - kernel) / std::max<int64_t>(stride[i], 1) + 1;
    }
  }
  const int64_t groups = call.integer("groups", 1);
  const int64_t out = transposed ? axes.size(weight.dims[1]) * groups : axes.size(weight.dims[0]);
  sizes.at(x.rank() - spatial - 1) = out;
  return sizes;
}

/// A norm over `x`'s dimension `dim` with weights along it: an affine map of what is there.
UnitValue scale_channels(UnitFlow& flow, const UnitValue& x, size_t dim,
                         const std::vector<const UnitValue*>& weights) {
  UnitValue result = x;
  for (const UnitValue* weight : weights) {
    if (weight->known && weight->rank() == 1) flow.tie(weight->dims[0], x.dims.at(dim));
  }
  result.zero = 0;
  result.set_zero(dim, true);
  return result;
}

/// Groups of channels with statistics of their own: [groups, channels of one].
UnitValue normalize_groups(UnitFlow& flow, const UnitValue& x, int64_t groups,
                           const std::vector<const UnitValue*>& weights) {
  const int64_t channels = flow.axes().size(x.dims.at(1));
  if (groups <= 0 || channels % groups != 0) return {};
  const auto parts = flow.axes().split_product(x.dims[1], {groups, channels / groups});
  flow.note_statistics(parts[1]);
  return scale_channels(flow, x, 1, weights);
}

struct NormArguments {
  UnitValue weight, bias, mean, variance;
  std::vector<const UnitValue*> all() const { return {&weight, &bias, &mean, &variance}; }
};

bool channel_norm(OpCall& call, const UnitValue& x) {
  const std::string_view name = operator_name(call.name);
  const NormArguments own{call.tensor("weight"), call.tensor("bias"), call.tensor("running_mean"),
                          call.tensor("running_var")};
  UnitValue result;
  if (name == "batch_norm" || name == "instance_norm" || name == "cudnn_batch_norm" ||
      name == "_native_batch_norm_legit_no_training") {
    result = scale_channels(call.flow, x, std::min<size_t>(1, x.rank() - 1), own.all());
  } else if (name == "group_norm") {
    result = normalize_groups(call.flow, x, call.integer("num_groups", 1), own.all());
    if (result.known) {
      call.note_size("num_groups", -1,
                     {call.flow.axes().parts(x.dims[1]).empty()
                          ? call.flow.axes().constant(call.integer("num_groups", 1))
                          : call.flow.axes().parts(x.dims[1])[0]});
    }
  } else {
    return false;
  }
  if (!result.known) return call.flow.give_up(call.id, "its groups do not fit"), true;
  call.flow.give(call.id, std::move(result));
  return true;
}

bool last_norm(OpCall& call, const UnitValue& x) {
  const std::string_view name = operator_name(call.name);
  if (name != "layer_norm" && name != "rms_norm") return false;
  const UnitValue weight = call.tensor("weight");
  const UnitValue bias = call.tensor("bias");
  const size_t count = call.integers("normalized_shape").size();
  if (count != 1) return call.flow.give_up(call.id, "a norm over several dimensions"), true;
  call.note_size("normalized_shape", 0, {x.dims.back()});
  call.flow.give(call.id, normalize_last(call.flow, x, weight.known ? &weight : nullptr,
                                         bias.known ? &bias : nullptr));
  return true;
}

bool convolution(OpCall& call) {
  const std::string_view name = operator_name(call.name);
  if (!name.starts_with("conv")) return false;
  const UnitValue x = call.tensor("input");
  const UnitValue weight = call.tensor("weight");
  const UnitValue bias = call.tensor("bias");
  const bool fits = x.known && weight.known && weight.rank() >= 3 && x.rank() + 1 >= weight.rank();
  if (!fits) return call.flow.give_up(call.id, "a convolution's shapes are not known"), true;
  const bool transposed =
      name.starts_with("conv_transpose") || (name == "convolution" && call.flag("transposed"));
  const std::vector<int64_t> sizes = conv_sizes(call, x, weight, transposed);
  AxisId groups = 0;
  const int64_t count = call.integer("groups", 1);
  UnitValue result = convolve(call.flow, x, weight, bias.known ? &bias : nullptr,
                              {count, transposed}, sizes, nullptr, nullptr, &groups);
  if (count > 1) call.note_size("groups", -1, {groups});
  call.flow.give(call.id, std::move(result));
  return true;
}

}  // namespace

UnitValue normalize_last(UnitFlow& flow, const UnitValue& x, const UnitValue* weight,
                         const UnitValue* bias) {
  flow.note_statistics(x.dims.back());
  std::vector<const UnitValue*> weights;
  if (weight != nullptr) weights.push_back(weight);
  if (bias != nullptr) weights.push_back(bias);
  UnitValue result = scale_channels(flow, x, x.rank() - 1, weights);
  // What is zero in a row of its own stays so only without a bias.
  for (size_t d = 0; d + 1 < x.rank(); ++d) result.set_zero(d, x.is_zero(d) && bias == nullptr);
  return result;
}

UnitValue convolve(UnitFlow& flow, const UnitValue& x, const UnitValue& weight,
                   const UnitValue* bias, const ConvShape& shape, const std::vector<int64_t>& sizes,
                   AxisId* in_channels, AxisId* out_channels, AxisId* groups) {
  AxisTable& axes = flow.axes();
  const size_t spatial = weight.rank() - 2;
  const size_t channel = x.rank() - spatial - 1;
  AxisId in = weight.dims[shape.transposed ? 0 : 1];
  AxisId out = weight.dims[shape.transposed ? 1 : 0];
  if (shape.groups > 1) {
    // One of the weight's dimensions has the channels of all groups, the other those of one.
    const AxisId whole = shape.transposed ? in : out;
    const auto parts = axes.split_product(whole, {shape.groups, axes.size(whole) / shape.groups});
    const AxisId other = axes.product({parts[0], shape.transposed ? out : in});
    (shape.transposed ? out : in) = other;
    axes.name(parts[0], "groups");
    if (groups != nullptr) *groups = parts[0];
  }
  flow.tie(x.dims[channel], in);
  if (bias != nullptr && bias->known) flow.tie(bias->dims[0], out);
  UnitValue result = x;
  result.zero = 0;
  result.dims[channel] = out;
  result.set_zero(channel, true);
  for (size_t d = channel + 1; d < x.rank(); ++d) {
    axes.fix(x.dims[d], "a convolution runs along it");
    result.dims[d] = axes.constant(sizes.at(d));
  }
  for (size_t d = 2; d < weight.rank(); ++d) axes.fix(weight.dims[d], "it is the size of a kernel");
  if (in_channels != nullptr) *in_channels = in;
  if (out_channels != nullptr) *out_channels = out;
  return result;
}

bool apply_layer_rule(OpCall& call) {
  if (!call.name.starts_with("aten::")) return false;
  if (convolution(call)) return true;
  const std::string_view name = operator_name(call.name);
  if (name == "embedding") {
    const UnitValue weight = call.tensor("weight");
    UnitValue result = call.tensor("indices");
    if (!weight.known || !result.known)
      return call.flow.give_up(call.id, "an embedding's shapes are not known"), true;
    call.flow.axes().fix(weight.dims[0], "it is the vocabulary");
    result.zero = 0;
    result.dims.push_back(weight.dims[1]);
    result.set_zero(result.rank() - 1, true);
    return call.flow.give(call.id, std::move(result)), true;
  }
  const bool is_norm = name.ends_with("norm");
  if (!is_norm || (call.argument("input") == nullptr)) return false;
  const UnitValue x = call.tensor("input");
  if (!x.known || x.rank() == 0)
    return call.flow.give_up(call.id, "the tensor's shape is not known"), true;
  return last_norm(call, x) || channel_norm(call, x);
}

namespace {

/// A call of a leaf: its module and what it reads.
struct LeafCall {
  UnitFlow& flow;
  ValueId id;
  const ir::Module& module;
  UnitValue x;

  UnitValue parameter(std::string_view name) const { return flow.parameter(module, name); }
  int64_t attribute(std::string_view name, int64_t otherwise) const {
    return ModuleView(module).attribute(name, otherwise);
  }
  void note_attribute(std::string name, AxisId axis) const {
    if (!module.has_attribute(name)) return;
    SizeUse use{&module};
    use.name = std::move(name);
    use.axes = {axis};
    flow.result().sizes.push_back(std::move(use));
  }
};

void linear_leaf(const LeafCall& call) {
  const bool is_transposed = call.module.type == "Conv1D";
  const UnitValue weight = call.parameter("weight");
  const UnitValue bias = call.parameter("bias");
  const AxisId in = weight.dims[is_transposed ? 0 : 1];
  const AxisId out = weight.dims[is_transposed ? 1 : 0];
  call.flow.note(call.module, "in_features", in, false);
  call.flow.note(call.module, "out_features", out, true);
  call.flow.give(call.id,
                 multiply_by_weight(call.flow, call.x, in, out, bias.known ? &bias : nullptr));
}

void conv_leaf(const LeafCall& call, std::string_view type) {
  const UnitValue weight = call.parameter("weight");
  const UnitValue bias = call.parameter("bias");
  const ConvShape shape{call.attribute("groups", 1), type.starts_with("ConvTranspose")};
  const OpCall settings(call.flow, call.id,
                        shape.transposed ? "aten::conv_transpose2d.input" : "aten::conv2d");
  AxisId in = 0, out = 0, groups = 0;
  UnitValue result =
      convolve(call.flow, call.x, weight, bias.known ? &bias : nullptr, shape,
               conv_sizes(settings, call.x, weight, shape.transposed), &in, &out, &groups);
  call.flow.note(call.module, "out_channels", out, true);
  call.flow.note(call.module, "in_channels", in, false);
  if (shape.groups > 1) call.note_attribute("groups", groups);
  call.flow.give(call.id, std::move(result));
}

void channel_norm_leaf(const LeafCall& call, std::string_view type) {
  const NormArguments own{call.parameter("weight"), call.parameter("bias"),
                          call.parameter("running_mean"), call.parameter("running_var")};
  const size_t dim = std::min<size_t>(1, call.x.rank() - 1);
  if (type != "GroupNorm") {
    call.flow.note(call.module, "num_features", call.x.dims[dim], false);
    return call.flow.give(call.id, scale_channels(call.flow, call.x, dim, own.all()));
  }
  const int64_t groups = call.attribute("num_groups", 1);
  UnitValue result = normalize_groups(call.flow, call.x, groups, own.all());
  if (!result.known) return call.flow.give_up(call.id, "its groups do not fit");
  call.flow.note(call.module, "num_channels", call.x.dims[dim], false);
  const auto parts = call.flow.axes().split_product(
      call.x.dims[dim], {groups, call.flow.axes().size(call.x.dims[dim]) / groups});
  call.note_attribute("num_groups", parts[0]);
  call.flow.give(call.id, std::move(result));
}

void last_norm_leaf(const LeafCall& call) {
  const UnitValue weight = call.parameter("weight");
  const UnitValue bias = call.parameter("bias");
  if (weight.known && weight.rank() != 1)
    return call.flow.give_up(call.id, "a norm over several dimensions");
  call.flow.note(call.module, "num_features", call.x.dims.back(), false);
  if (call.module.has_attribute("normalized_shape")) {
    SizeUse use{&call.module};
    use.name = "normalized_shape";
    use.item = 0;
    use.axes = {call.x.dims.back()};
    call.flow.result().sizes.push_back(std::move(use));
  }
  UnitValue result = normalize_last(call.flow, call.x, weight.known ? &weight : nullptr,
                                    bias.known ? &bias : nullptr);
  const size_t last = call.x.rank() - 1;
  if (call.module.has_attribute("weight_offset")) result.set_zero(last, call.x.is_zero(last));
  call.flow.give(call.id, std::move(result));
}

void embedding_leaf(const LeafCall& call) {
  const UnitValue weight = call.parameter("weight");
  call.flow.axes().fix(weight.dims[0], "it is the vocabulary");
  call.flow.note(call.module, "embedding_dim", weight.dims[1], true);
  UnitValue result = call.x;
  result.zero = 0;
  result.dims.push_back(weight.dims[1]);
  result.set_zero(result.rank() - 1, true);
  call.flow.give(call.id, std::move(result));
}

/// cos and sin [.., T, 2 F] of F frequencies.
void rotary_leaf(const LeafCall& call) {
  const FlatNode& node = call.flow.graph().node(call.id);
  const UnitValue positions =
      node.node->args.size() > 1 ? call.flow.value(node, node.node->args[1]) : UnitValue();
  const UnitValue frequencies = call.parameter("inv_freq");
  if (!positions.known || !frequencies.known)
    return call.flow.give_up(call.id, "the positions' shape is not known");
  UnitValue angles = positions;
  angles.zero = 0;
  const AxisId axis = frequencies.dims[0];
  if (const UnitValue more = call.parameter("long_inv_freq"); more.known)
    call.flow.tie(axis, more.dims[0]);
  if (call.module.type == "DynamicRotaryEmbedding")
    call.flow.axes().fix(axis, "the frequencies are computed from their number");
  angles.dims.push_back(call.flow.axes().sum({axis, axis}));
  call.flow.axes().name(axis, "rotary_pairs");
  call.flow.give(call.id, std::vector<UnitValue>{angles, angles});
}

/// Scores [T, E] to weights and indices [T, k].
void top_k_leaf(const LeafCall& call) {
  const int64_t top_k = call.attribute("top_k", 1);
  const AxisId experts = call.x.dims.back();
  if (call.attribute("groups", 1) > 1)
    call.flow.axes().fix(experts, "the experts are chosen in groups");
  const FlatNode& node = call.flow.graph().node(call.id);
  if (node.node->args.size() > 1) {
    const UnitValue correction = call.flow.value(node, node.node->args[1]);
    if (correction.known && correction.rank() == 1) call.flow.tie(correction.dims[0], experts);
  }
  call.flow.axes().name(experts, "experts");
  UnitValue chosen = call.x;
  chosen.zero = 0;
  chosen.dims.back() = call.flow.axes().constant(top_k);
  call.flow.chosen_experts[call.id] = experts;
  call.flow.give(call.id, std::vector<UnitValue>{chosen, chosen});
}

/// A type that a user registered: what its rule says of its dimensions.
bool registered_leaf(const LeafCall& call) {
  const SymRegistry::Rule* rule = call.flow.registry().find(call.module.type);
  if (rule == nullptr) return false;
  const auto axis_of = [&](const UnitValue& x, const Symbol& symbol) -> AxisId* {
    for (const int64_t dim : symbol.elastic_dims()) {
      const int64_t index = dim < 0 ? dim + static_cast<int64_t>(x.rank()) : dim;
      if (index >= 0 && index < static_cast<int64_t>(x.rank()))
        return const_cast<AxisId*>(&x.dims[static_cast<size_t>(index)]);
    }
    return nullptr;
  };
  UnitValue result = call.x;
  result.zero = 0;
  for (const auto& [name, symbol] : (*rule)(ModuleView(call.module)).symbols) {
    AxisId* axis = symbol->is_cross_layer() ? axis_of(call.x, *symbol) : nullptr;
    if (axis == nullptr) continue;
    // The rule does not say which of the module's parameters have the size.
    call.flow.axes().fix(*axis, "the tensors of " + call.module.type + " are not known");
    call.flow.note(call.module, name, *axis, symbol->is_outgoing());
  }
  call.flow.give(call.id, std::move(result));
  return true;
}

constexpr std::array<std::string_view, 3> kLinearTypes = {"Linear", "Conv1D", "Float32Linear"};
constexpr std::array<std::string_view, 3> kRotaryTypes = {
    "RotaryEmbedding", "DynamicRotaryEmbedding", "LongRotaryEmbedding"};

template <size_t Count>
bool is_one_of(const std::array<std::string_view, Count>& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

bool apply_leaf_rule(UnitFlow& flow, ValueId id, const ir::Module& module) {
  const FlatNode& node = flow.graph().node(id);
  LeafCall call{flow, id, module, flow.first(node)};
  if (!call.x.known || (call.x.rank() == 0 && module.type != "Embedding")) return false;
  const std::string_view own = symbolic_type(module, flow.registry());
  const std::string_view type = own.empty() ? std::string_view(module.type) : own;
  const bool has_matrix = call.parameter("weight").known;
  if (is_one_of(kLinearTypes, type)) {
    if (call.parameter("weight").rank() != 2) return false;
    return linear_leaf(call), true;
  }
  if (type.starts_with("Conv") && has_matrix) {
    const size_t rank = call.parameter("weight").rank();
    if (rank < 3 || call.x.rank() + 1 < rank) return false;
    return conv_leaf(call, type), true;
  }
  if (type == "Embedding" && has_matrix) return embedding_leaf(call), true;
  if (type == "LayerNorm" || type == "RMSNorm") return last_norm_leaf(call), true;
  if (type == "GroupNorm" || type.starts_with("BatchNorm") || type.starts_with("InstanceNorm") ||
      type == "SyncBatchNorm")
    return channel_norm_leaf(call, type), true;
  if (is_one_of(kRotaryTypes, type)) return rotary_leaf(call), true;
  if (type == "TopKRouter") return top_k_leaf(call), true;
  return registered_leaf(call);
}

}  // namespace lathe::trace
