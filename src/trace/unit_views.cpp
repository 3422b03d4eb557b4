#include <algorithm>
#include <functional>
#include <unordered_map>

#include "trace/operator_classes.h"
#include "trace/unit_flow.h"

namespace lathe::trace {
namespace {

/// A value with the same axes in another arrangement; what is zero stays so if `keep` says where it
/// came from.
UnitValue from_dims(const UnitValue& x, const std::vector<size_t>& order) {
  UnitValue result{true, {}, 0};
  for (size_t i = 0; i < order.size(); ++i) {
    result.dims.push_back(x.dims.at(order[i]));
    result.set_zero(i, x.is_zero(order[i]));
  }
  return result;
}

/// Elements keep their order, sizes change. A dimension is zero where all that it is made of is.
void reshape(OpCall& call, const UnitValue& x, std::string_view sizes_argument,
             size_t first_size = 0) {
  UnitFlow& flow = call.flow;
  const std::vector<int64_t> sizes = call.result_sizes();
  UnitValue result{true, flow.axes().reshape(x.dims, sizes), 0};
  std::unordered_map<AxisId, bool> zero;
  for (size_t d = 0; d < x.rank(); ++d) {
    for (const AxisId atom : flow.axes().atoms(x.dims[d])) zero[atom] = x.is_zero(d);
  }
  for (size_t d = 0; d < result.rank(); ++d) {
    bool all = true;
    for (const AxisId atom : flow.axes().atoms(result.dims[d]))
      all &= flow.axes().is_fixed(atom) || zero[atom];
    result.set_zero(d, all);
  }
  if (!sizes_argument.empty()) {
    const size_t count = call.integers(sizes_argument).size();
    for (size_t i = 0; i < count; ++i) {
      const size_t dim = first_size + i;
      if (dim < result.rank())
        call.note_size(sizes_argument, static_cast<int64_t>(i), {result.dims[dim]});
    }
  }
  flow.give(call.id, std::move(result));
}

void transpose(OpCall& call, const UnitValue& x) {
  std::vector<size_t> order(x.rank());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const bool is_t = operator_name(call.name) == "t" || operator_name(call.name) == "numpy_T";
  if (is_t) {
    std::reverse(order.begin(), order.end());
  } else if (x.rank() > 1) {
    const bool by_axis = operator_name(call.name) == "swapaxes";
    std::swap(order.at(call.dim(by_axis ? "axis0" : "dim0", x)),
              order.at(call.dim(by_axis ? "axis1" : "dim1", x)));
  }
  call.flow.give(call.id, from_dims(x, order));
}

void permute(OpCall& call, const UnitValue& x) {
  std::vector<size_t> order;
  for (const int64_t dim : call.integers("dims"))
    order.push_back(static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(x.rank()) : dim));
  call.flow.give(call.id, from_dims(x, order));
}

/// A dimension of size 1 becomes one of any size, which belongs to whoever it is put together with.
void expand(OpCall& call, const UnitValue& x) {
  const std::vector<int64_t> sizes = call.result_sizes();
  UnitValue result{true, {}, 0};
  const size_t added = sizes.size() - x.rank();
  for (size_t i = 0; i < sizes.size(); ++i) {
    const bool has_own = i >= added && call.flow.axes().size(x.dims[i - added]) == sizes[i];
    result.dims.push_back(has_own ? x.dims[i - added] : call.flow.axes().fresh(sizes[i]));
    result.set_zero(i, has_own && x.is_zero(i - added));
    call.note_size("size", static_cast<int64_t>(i), {result.dims.back()});
  }
  call.flow.give(call.id, std::move(result));
}

/// Copies one after the other: [n, x] as one dimension; or of each element: [x, n].
void repeat(OpCall& call, const UnitValue& x, bool interleaved) {
  const std::vector<int64_t> sizes = call.result_sizes();
  UnitValue result{true, {}, 0};
  const size_t added = sizes.size() - x.rank();
  for (size_t i = 0; i < sizes.size(); ++i) {
    const AxisId own = i < added ? call.flow.axes().constant(1) : x.dims[i - added];
    const int64_t size = call.flow.axes().size(own);
    const int64_t copies = size == 0 ? 1 : sizes[i] / size;
    AxisId axis = own;
    if (copies > 1) {
      const AxisId times = call.flow.axes().constant(copies);
      axis = call.flow.axes().product(interleaved ? std::vector<AxisId>{own, times}
                                                  : std::vector<AxisId>{times, own});
    }
    result.dims.push_back(axis);
    result.set_zero(i, i >= added && x.is_zero(i - added));
  }
  call.flow.give(call.id, std::move(result));
}

void concatenate(OpCall& call) {
  std::vector<UnitValue> parts = call.tensors("tensors");
  if (parts.empty() ||
      !std::all_of(parts.begin(), parts.end(), [](const UnitValue& part) { return part.known; })) {
    return call.flow.give_up(call.id, "a tensor of a concatenation is not known");
  }
  UnitValue result = parts[0];
  const size_t dim = call.dim("dim", result);
  std::vector<AxisId> terms;
  bool zero = true;
  for (const UnitValue& part : parts) {
    for (size_t d = 0; d < result.rank() && d < part.rank(); ++d) {
      if (d != dim) call.flow.tie(result.dims[d], part.dims[d]);
      result.set_zero(d, result.is_zero(d) && part.is_zero(d));
    }
    terms.push_back(part.dims.at(dim));
    zero &= part.is_zero(dim);
  }
  result.dims.at(dim) = call.flow.axes().sum(terms);
  result.set_zero(dim, zero);
  call.flow.give(call.id, std::move(result));
}

void stack(OpCall& call) {
  std::vector<UnitValue> parts = call.tensors("tensors");
  const std::vector<int64_t> sizes = call.result_sizes();
  if (parts.empty()) return call.flow.give_up(call.id, "nothing is stacked");
  UnitValue same = parts[0];
  for (const UnitValue& part : parts) same = call.flow.broadcast(same, part);
  if (!same.known || sizes.empty()) return call.flow.give_up(call.id, "a stack is not known");
  const int64_t given = call.integer("dim");
  const auto dim =
      static_cast<std::ptrdiff_t>(given < 0 ? given + static_cast<int64_t>(sizes.size()) : given);
  same.dims.insert(same.dims.begin() + dim,
                   call.flow.axes().constant(static_cast<int64_t>(parts.size())));
  same.zero = 0;
  call.flow.give(call.id, std::move(same));
}

/// Pieces of one dimension, as values of their own.
void split(OpCall& call, const UnitValue& x) {
  const size_t dim = call.dim("dim", x);
  const c10::IValue& pieces = call.flow.shapes().value(call.id);
  std::vector<int64_t> sizes;
  if (pieces.isTensorList()) {
    for (const at::Tensor& piece : pieces.toTensorVector())
      sizes.push_back(piece.size(static_cast<int64_t>(dim)));
  }
  if (sizes.empty()) return call.flow.give_up(call.id, "the pieces are not known");
  const std::vector<AxisId> axes = call.flow.axes().split_sum(x.dims.at(dim), sizes);
  std::vector<UnitValue> results;
  for (const AxisId axis : axes) {
    results.push_back(x);
    results.back().dims.at(dim) = axis;
  }
  if (operator_name(call.name) == "chunk") {
    // Equal pieces stay equal: a chunk's size is the whole's over their number.
    for (const AxisId axis : axes) {
      if (call.flow.axes().size(axis) == sizes[0]) call.flow.tie(axes[0], axis);
    }
  }
  const std::string_view argument = call.has("split_sizes") ? "split_sizes" : "split_size";
  const size_t given = call.integers(argument).size();
  if (given > 1) {
    for (size_t i = 0; i < given && i < axes.size(); ++i)
      call.note_size(argument, static_cast<int64_t>(i), {axes[i]});
  } else if (call.has(argument)) {
    for (const AxisId axis : axes) {
      if (call.flow.axes().size(axis) == sizes[0]) call.flow.tie(axes[0], axis);
    }
    call.note_size(argument, -1, {axes[0]});
  }
  call.flow.give(call.id, std::move(results));
}

void slice(OpCall& call, const UnitValue& x) {
  const size_t dim = call.dim("dim", x);
  const AxisId axis = x.dims.at(dim);
  const int64_t size = call.flow.axes().size(axis);
  const auto clamp = [&](int64_t position) {
    return std::clamp<int64_t>(position < 0 ? position + size : position, 0, size);
  };
  const bool is_narrow = operator_name(call.name) == "narrow";
  const int64_t begin = clamp(call.integer("start"));
  const int64_t end = is_narrow ? begin + call.integer("length") : clamp(call.integer("end", size));
  UnitValue result = x;
  if (begin == 0 && end >= size && call.integer("step", 1) == 1)
    return call.flow.give(call.id, std::move(result));
  if (call.integer("step", 1) != 1) {
    call.flow.axes().fix(axis, "every n-th unit of it is taken");
    result.dims.at(dim) = call.flow.axes().constant(call.result_sizes().at(dim));
    return call.flow.give(call.id, std::move(result));
  }
  const auto parts =
      call.flow.axes().split_sum(axis, {begin, std::max(end - begin, int64_t{0}), size - end});
  result.dims.at(dim) = parts[1];
  call.note_size("start", -1, {parts[0]});
  call.note_size("end", -1, {parts[0], parts[1]});
  call.note_size("length", -1, {parts[1]});
  call.flow.give(call.id, std::move(result));
}

/// One index of a dimension, or each.
void select(OpCall& call, const UnitValue& x) {
  const size_t dim = call.dim("dim", x);
  call.flow.axes().fix(x.dims.at(dim), "single units of it are read");
  std::vector<size_t> order;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (i != dim) order.push_back(i);
  }
  const UnitValue item = from_dims(x, order);
  if (operator_name(call.name) == "select") return call.flow.give(call.id, item);
  const auto count = static_cast<size_t>(call.flow.axes().size(x.dims.at(dim)));
  call.flow.give(call.id, std::vector<UnitValue>(count, item));
}

using Rule = std::function<void(OpCall&, const UnitValue&)>;

const std::unordered_map<std::string_view, Rule>& rules() {
  static const auto* const kRules = new std::unordered_map<std::string_view, Rule>{
      {"view", [](OpCall& call, const UnitValue& x) { reshape(call, x, "size"); }},
      {"_unsafe_view", [](OpCall& call, const UnitValue& x) { reshape(call, x, "size"); }},
      {"reshape", [](OpCall& call, const UnitValue& x) { reshape(call, x, "shape"); }},
      {"flatten", [](OpCall& call, const UnitValue& x) { reshape(call, x, ""); }},
      {"view_as", [](OpCall& call, const UnitValue& x) { reshape(call, x, ""); }},
      {"reshape_as", [](OpCall& call, const UnitValue& x) { reshape(call, x, ""); }},
      {"unflatten",
       [](OpCall& call, const UnitValue& x) { reshape(call, x, "sizes", call.dim("dim", x)); }},
      {"squeeze", [](OpCall& call, const UnitValue& x) { reshape(call, x, ""); }},
      {"unsqueeze", [](OpCall& call, const UnitValue& x) { reshape(call, x, ""); }},
      {"transpose", transpose},
      {"swapaxes", transpose},
      {"t", transpose},
      {"numpy_T", transpose},
      {"permute", permute},
      {"expand", expand},
      {"expand_as", expand},
      {"broadcast_to", expand},
      {"repeat", [](OpCall& call, const UnitValue& x) { repeat(call, x, false); }},
      {"repeat_interleave", [](OpCall& call, const UnitValue& x) { repeat(call, x, true); }},
      {"split", split},
      {"split_with_sizes", split},
      {"chunk", split},
      {"slice", slice},
      {"narrow", slice},
      {"select", select},
      {"unbind", select},
  };
  return *kRules;
}

}  // namespace

bool apply_view_rule(OpCall& call) {
  if (!call.name.starts_with("aten::")) return false;
  const std::string_view name = operator_name(call.name);
  if (operator_class(call.name) == OperatorClass::kConcatenation) return concatenate(call), true;
  if (name == "stack") return stack(call), true;
  const auto rule = rules().find(name);
  if (rule == rules().end()) return false;
  const UnitValue& x = call.tensor("self");
  if (!x.known || (call.result_sizes().empty() && name != "split" && name != "chunk" &&
                   name != "split_with_sizes" && name != "unbind")) {
    call.flow.give_up(call.id, "the tensor's shape is not known");
    return true;
  }
  rule->second(call, UnitValue(x));
  return true;
}

}  // namespace lathe::trace
