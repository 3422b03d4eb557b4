#include <algorithm>
#include <unordered_set>

#include "trace/operator_classes.h"
#include "trace/unit_flow.h"

namespace lathe::trace {
namespace {

using Names = std::unordered_set<std::string_view>;

/// Operators on one tensor that give 0 for 0.
const Names& zero_keeping() {
  static const Names names = {"abs",
                              "alias",
                              "alpha_dropout",
                              "asin",
                              "asinh",
                              "atan",
                              "atanh",
                              "ceil",
                              "celu",
                              "clone",
                              "contiguous",
                              "detach",
                              "dropout",
                              "elu",
                              "erf",
                              "expm1",
                              "feature_dropout",
                              "fix",
                              "floor",
                              "gelu",
                              "hardshrink",
                              "hardswish",
                              "hardtanh",
                              "leaky_relu",
                              "log1p",
                              "mish",
                              "neg",
                              "negative",
                              "positive",
                              "prelu",
                              "relu",
                              "relu6",
                              "round",
                              "selu",
                              "sgn",
                              "sign",
                              "silu",
                              "sin",
                              "sinh",
                              "softshrink",
                              "sqrt",
                              "square",
                              "tan",
                              "tanh",
                              "to",
                              "_to_copy",
                              "trunc",
                              "type_as",
                              "lift_fresh_copy",
                              "nan_to_num"};
  return names;
}

/// Operators that give a tensor like another one: copies in another type or layout.
const Names& copies() {
  static const Names names = {"to",        "_to_copy",   "contiguous", "type_as",      "zeros_like",
                              "ones_like", "empty_like", "full_like",  "requires_grad"};
  return names;
}

bool is_along_a_dimension(std::string_view name) {
  return name == "softmax" || name == "log_softmax" || name == "cumsum" || name == "cumprod" ||
         name == "logcumsumexp";
}

/// A gated linear unit: the two halves of a dimension meet.
void glu(OpCall& call, UnitValue x) {
  const size_t dim = call.dim("dim", x, -1);
  const int64_t half = call.flow.axes().size(x.dims.at(dim)) / 2;
  const auto halves = call.flow.axes().split_sum(x.dims.at(dim), {half, half});
  call.flow.tie(halves[0], halves[1]);
  x.dims.at(dim) = halves[0];
  call.flow.give(call.id, std::move(x));
}

/// Softmax takes its sum over what is there; sums so far cannot leave anything out.
void along_a_dimension(OpCall& call, UnitValue x) {
  const size_t dim = call.dim("dim", x);
  if (operator_name(call.name) == "softmax") {
    call.flow.note_statistics(x.dims.at(dim));
    x.set_zero(dim, true);
  } else {
    call.flow.axes().fix(x.dims.at(dim), call.name);
  }
  call.flow.give(call.id, std::move(x));
}

/// Sizes of a pool's value: an adaptive pool says them itself.
std::vector<int64_t> spatial_sizes(const OpCall& call, const UnitValue& x) {
  if (!operator_name(call.name).starts_with("adaptive")) return call.result_sizes();
  std::vector<int64_t> sizes;
  for (const AxisId axis : x.dims) sizes.push_back(call.flow.axes().size(axis));
  const std::vector<int64_t> wanted = call.integers("output_size");
  const size_t spatial = operator_name(call.name).back() == 'd'
                             ? static_cast<size_t>(operator_name(call.name).rbegin()[1] - '0')
                             : 0;
  for (size_t i = 0; i < spatial && i < sizes.size(); ++i) {
    if (!wanted.empty()) sizes[sizes.size() - spatial + i] = wanted[std::min(i, wanted.size() - 1)];
  }
  return sizes;
}

/// Dimensions whose size changes are those that the operator works on.
void spatial(OpCall& call, UnitValue x) {
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  const auto passthrough = operator_passthrough(call.name);
  const auto rank = static_cast<int64_t>(x.rank());
  // Of an unbatched image the channels are the first dimension.
  for (int64_t d = 0; d < rank; ++d) {
    const bool kept = passthrough->dims->contains(d) || passthrough->dims->contains(d - rank);
    const bool negative = std::any_of(passthrough->dims->begin(), passthrough->dims->end(),
                                      [](int64_t dim) { return dim < 0; });
    const bool is_channel =
        negative ? passthrough->dims->contains(d - rank) || (kept && d == 0) : kept;
    if (is_channel) continue;
    call.flow.axes().fix(x.dims[static_cast<size_t>(d)], call.name);
    x.dims[static_cast<size_t>(d)] = call.flow.axes().constant(sizes.at(static_cast<size_t>(d)));
  }
  const auto results = call.flow.shapes().value(call.id).isTuple() ? 2u : 1u;
  call.flow.give(call.id, std::vector<UnitValue>(results, x));
}

/// Padding of 0 leaves a dimension as it is.
void pad(OpCall& call, UnitValue x) {
  const std::vector<int64_t> sizes = call.result_sizes();
  const std::vector<int64_t> padding = call.integers("pad");
  for (size_t d = 0; d < x.rank(); ++d) {
    const size_t pair = x.rank() - 1 - d;
    const bool padded =
        2 * pair + 1 < padding.size() && (padding[2 * pair] != 0 || padding[2 * pair + 1] != 0);
    if (!padded) continue;
    call.flow.axes().fix(x.dims[d], call.name);
    x.dims[d] = call.flow.axes().constant(sizes.at(d));
  }
  call.flow.give(call.id, std::move(x));
}

void unary(OpCall& call) {
  const std::string_view name = operator_name(call.name);
  UnitValue x = call.tensor("self").known ? call.tensor("self") : call.flow.first(call.node);
  if (!x.known) return call.flow.give_up(call.id, "the tensor's shape is not known");
  if (name == "glu") return glu(call, std::move(x));
  if (name == "pad" || name == "constant_pad_nd") return pad(call, std::move(x));
  const auto passthrough = operator_passthrough(call.name);
  if (passthrough && passthrough->dims) {
    if (spatial_sizes(call, x).empty() && !call.flow.shapes().value(call.id).isTuple())
      return call.flow.give_up(call.id, "the pool's shape is not known");
    if (!call.flow.shapes().value(call.id).isTuple()) return spatial(call, std::move(x));
    return call.flow.give_up(call.id, "the indices of a pool are read");
  }
  if (name == "tril" || name == "triu" || name == "renorm") {
    call.flow.fix(x, call.name);
    return call.flow.give(call.id, std::move(x));
  }
  if (is_along_a_dimension(name)) return along_a_dimension(call, std::move(x));
  if (name == "zeros_like") {
    x.zero = ~uint64_t{0};
  } else if (!zero_keeping().contains(name)) {
    x.zero = 0;
  }
  if (name == "prelu") {
    const UnitValue weight = call.tensor("weight");
    if (weight.known && weight.rank() == 1 && x.rank() > 1 &&
        call.flow.axes().size(weight.dims[0]) > 1)
      call.flow.tie(x.dims[1], weight.dims[0]);
  }
  call.flow.give(call.id, std::move(x));
}

bool keeps_zero_of_either(std::string_view name) { return name == "mul" || name == "multiply"; }

/// Whether a number that is added, or raised to, keeps 0 at 0.
bool number_keeps_zero(std::string_view name) {
  return name == "mul" || name == "multiply" || name == "div" || name == "divide" ||
         name == "true_divide" || name == "pow" || name == "floor_divide" || name == "fmod" ||
         name == "remainder";
}

void elementwise(OpCall& call) {
  const std::string_view name = operator_name(call.name);
  if (call.node.inputs.empty()) return call.flow.give_up(call.id, "it has no tensor");
  UnitValue result = call.flow.value(call.node.inputs[0]);
  const bool alone = call.node.inputs.size() == 1;
  if (!result.known) return call.flow.give_up(call.id, "the tensor's shape is not known");
  if (alone) {
    // x op x, or x op a number
    size_t tensors = 0;
    for (const ir::Argument& argument : call.node.node->args)
      tensors += argument.node() != nullptr ? 1 : 0;
    const bool of_itself = tensors > 1;
    const bool is_reversed =
        call.node.node->args.empty() || call.node.node->args[0].node() == nullptr || name == "rsub";
    if (!of_itself && (is_reversed || !number_keeps_zero(name))) result.zero = 0;
    if (of_itself && (name == "div" || name == "eq" || name == "ge" || name == "le"))
      result.zero = 0;
    return call.flow.give(call.id, std::move(result));
  }
  for (size_t i = 1; i < call.node.inputs.size(); ++i) {
    const UnitValue other = call.flow.value(call.node.inputs[i]);
    const UnitValue before = result;
    result = call.flow.broadcast(result, other);
    if (!result.known) return call.flow.give_up(call.id, "a tensor's shape is not known");
    for (size_t d = 0; d < result.rank(); ++d) {
      const auto zero_in = [&](const UnitValue& value) {
        const size_t offset = result.rank() - value.rank();
        return d >= offset && value.is_zero(d - offset) &&
               call.flow.axes().size(value.dims[d - offset]) ==
                   call.flow.axes().size(result.dims[d]);
      };
      bool zero = zero_in(before) && zero_in(other);
      if (keeps_zero_of_either(name)) zero = zero_in(before) || zero_in(other);
      if (name.starts_with("div")) zero = zero_in(before) && !zero_in(other);
      result.set_zero(d, zero);
    }
  }
  static const Names kLinear = {"add",  "sub",    "subtract", "mul",     "multiply",
                                "div",  "divide", "maximum",  "minimum", "addcmul",
                                "lerp", "fmax",   "fmin"};
  if (!kLinear.contains(name)) result.zero = 0;
  call.flow.give(call.id, std::move(result));
}

/// where(condition, a, b), masked_fill: nothing is zero afterwards.
void choose(OpCall& call) {
  UnitValue result = call.flow.first(call.node);
  for (size_t i = 1; i < call.node.inputs.size(); ++i)
    result = call.flow.broadcast(result, call.flow.value(call.node.inputs[i]));
  if (!result.known) return call.flow.give_up(call.id, "a tensor's shape is not known");
  result.zero = 0;
  call.flow.give(call.id, std::move(result));
}

/// A sum leaves out what is zero; other reductions are over all there is.
void reduce(OpCall& call) {
  const UnitValue x = call.tensor("self");
  if (!x.known) return call.flow.give_up(call.id, "the tensor's shape is not known");
  std::vector<int64_t> dims = call.integers("dim");
  std::vector<bool> reduced(x.rank(), dims.empty());
  for (const int64_t dim : dims)
    reduced.at(static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(x.rank()) : dim)) = true;
  UnitValue result{true, {}, 0};
  const bool is_sum = operator_name(call.name) == "sum";
  for (size_t d = 0; d < x.rank(); ++d) {
    if (!reduced[d]) {
      result.dims.push_back(x.dims[d]);
      result.set_zero(result.rank() - 1, x.is_zero(d));
      continue;
    }
    if (!is_sum || !x.is_zero(d)) call.flow.axes().fix(x.dims[d], call.name);
    if (call.flag("keepdim")) result.dims.push_back(call.flow.axes().constant(1));
  }
  call.flow.give(call.id, std::move(result));
}

}  // namespace

bool apply_elementwise_rule(OpCall& call) {
  if (!call.name.starts_with("aten::")) return false;
  static const Names kReductions = {"sum",  "mean",      "amax", "amin",
                                    "prod", "logsumexp", "all",  "any"};
  const std::string_view name = operator_name(call.name);
  const OperatorClass kind = operator_class(call.name);
  if (kReductions.contains(name)) return reduce(call), true;
  if (name == "where" || name == "masked_fill") return choose(call), true;
  if (name == "clamp_min" || name == "clamp_max") return elementwise(call), true;
  if (kind == OperatorClass::kUnary || copies().contains(name)) return unary(call), true;
  if (kind == OperatorClass::kElementwise) return elementwise(call), true;
  if (kind == OperatorClass::kSizeOf || kind == OperatorClass::kAssertion) {
    call.flow.give(call.id, std::vector<UnitValue>());
    return true;
  }
  return false;
}

}  // namespace lathe::trace
