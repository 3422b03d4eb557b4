#include "quantization/parameter_rows.h"

#include <algorithm>
#include <vector>

namespace lathe::quantization {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

std::optional<int64_t> integer(const Argument& argument) {
  const auto* value = std::get_if<int64_t>(&argument.value());
  return value == nullptr ? std::nullopt : std::optional(*value);
}

/// The argument at `index`; `absent` if the call ends before it. Nothing if it is no integer.
std::optional<int64_t> integer_at(const Node& node, size_t index, int64_t absent) {
  if (index >= node.args.size() || node.args[index].is_none()) return absent;
  return integer(node.args[index]);
}

std::vector<int64_t> equal_parts(int64_t rows, int64_t size) {
  std::vector<int64_t> parts;
  for (int64_t first = 0; first < rows; first += size)
    parts.push_back(std::min(size, rows - first));
  return parts;
}

/// The sizes of the parts that a node cuts rows into; empty if it is no cut along dimension 0.
std::vector<int64_t> parts_of(const Node& cut, int64_t rows) {
  if (cut.kind != NodeKind::kCallOp || !cut.kwargs.empty() || cut.args.size() < 2) return {};
  if (integer_at(cut, 2, 0) != 0) return {};
  if (cut.target == "aten::split_with_sizes") {
    const auto* sizes = std::get_if<Argument::List>(&cut.args[1].value());
    std::vector<int64_t> parts;
    for (const Argument& size : sizes == nullptr ? Argument::List{} : *sizes) {
      const auto part = integer(size);
      if (!part || *part < 0) return {};
      parts.push_back(*part);
    }
    return parts;
  }
  const auto number = integer(cut.args[1]);
  if (!number || *number <= 0) return {};
  if (cut.target == "aten::split.Tensor") return equal_parts(rows, *number);
  if (cut.target == "aten::chunk") return equal_parts(rows, (rows + *number - 1) / *number);
  return {};
}

std::optional<ParameterRows> item_of(const ParameterRows& whole, const Node& cut, int64_t item) {
  const std::vector<int64_t> parts = parts_of(cut, whole.count);
  if (item < 0) item += static_cast<int64_t>(parts.size());
  if (item < 0 || item >= static_cast<int64_t>(parts.size())) return std::nullopt;
  ParameterRows rows{.path = whole.path, .first = whole.first};
  for (int64_t i = 0; i < item; ++i) rows.first += parts[static_cast<size_t>(i)];
  rows.count = parts[static_cast<size_t>(item)];
  const bool fits = rows.first + rows.count <= whole.first + whole.count;
  return fits ? std::optional(rows) : std::nullopt;
}

std::optional<ParameterRows> slice_of(const ParameterRows& whole, const Node& slice) {
  const auto start = integer_at(slice, 2, 0);
  const auto end = integer_at(slice, 3, whole.count);
  if (integer_at(slice, 1, 0) != 0 || integer_at(slice, 4, 1) != 1 || !start || !end)
    return std::nullopt;
  const auto clamped = [&](int64_t row) {
    return std::clamp<int64_t>(row < 0 ? row + whole.count : row, 0, whole.count);
  };
  const int64_t first = clamped(*start);
  const int64_t count = clamped(*end) - first;
  if (count <= 0) return std::nullopt;
  return ParameterRows{.path = whole.path, .first = whole.first + first, .count = count};
}

}  // namespace

std::optional<ParameterRows> parameter_rows(const ir::Module& module, const ir::Argument& value) {
  const Node* node = value.node();
  if (node == nullptr) return std::nullopt;
  if (node->kind == NodeKind::kGetAttr) {
    const ir::ParameterPtr parameter = module.find_parameter(node->target);
    if (parameter == nullptr) return std::nullopt;
    const int64_t rows = parameter->shape().empty() ? 1 : parameter->shape()[0];
    return ParameterRows{.path = node->target, .count = rows};
  }
  if (node->kind != NodeKind::kCallOp || node->args.empty()) return std::nullopt;
  if (node->target == "aten::slice.Tensor" && node->kwargs.empty()) {
    const auto whole = parameter_rows(module, node->args[0]);
    return whole ? slice_of(*whole, *node) : std::nullopt;
  }
  if (node->target != "builtin::getitem" || node->args.size() != 2) return std::nullopt;
  const Node* cut = node->args[0].node();
  const auto item = integer(node->args[1]);
  if (cut == nullptr || cut->args.empty() || !item) return std::nullopt;
  const auto whole = parameter_rows(module, cut->args[0]);
  return whole ? item_of(*whole, *cut, *item) : std::nullopt;
}

ir::ParameterPtr take_rows(const ir::Module& module, const ParameterRows& rows) {
  const ir::ParameterPtr whole = module.find_parameter(rows.path);
  std::vector<int64_t> shape = whole->shape();
  if (shape.empty() || (rows.first == 0 && rows.count == shape[0])) return whole;
  shape[0] = rows.count;
  return std::make_shared<ir::Parameter>(
      whole->dtype(), shape, [whole, first = rows.first, count = rows.count] {
        const bool was_loaded = whole->is_loaded();
        at::Tensor part = whole->tensor().narrow(0, first, count).clone();
        if (!was_loaded) whole->release();
        return part;
      });
}

}  // namespace lathe::quantization
