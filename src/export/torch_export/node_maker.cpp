#include "export/torch_export/node_maker.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "io/pt2_layout.h"

namespace lathe::exporting {
namespace {

/// The sizes or strides of a tensor if all are numbers.
std::optional<std::vector<int64_t>> numbers(const Json& list) {
  std::vector<int64_t> values;
  for (const Json& item : list) {
    const auto found = item.find("as_int");
    if (found == item.end() || found->is_null()) return std::nullopt;
    values.push_back(found->get<int64_t>());
  }
  return values;
}

Json int_list(const std::vector<int64_t>& values) {
  Json list = Json::array();
  for (int64_t value : values) list.push_back({{"as_int", value}});
  return list;
}

std::vector<int64_t> row_major(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  uint64_t stride = 1;  // wraps around where a program's sizes are absurd
  for (size_t i = shape.size(); i > 0; --i) {
    strides[i - 1] = static_cast<int64_t>(stride);
    stride *= static_cast<uint64_t>(std::max<int64_t>(shape[i - 1], 1));
  }
  return strides;
}

/// Whether every element has its place and there are no others: operators keep such strides.
bool is_dense(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  std::vector<size_t> order(shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return strides[a] < strides[b]; });
  uint64_t expected = 1;
  for (size_t i : order) {
    if (shape[i] == 1) continue;
    if (static_cast<uint64_t>(strides[i]) != expected) return false;
    expected *= static_cast<uint64_t>(shape[i]);
  }
  return true;
}

}  // namespace

Json tensor_argument(const std::string& value) { return {{"as_tensor", {{"name", value}}}}; }
Json int_argument(int64_t value) { return {{"as_int", value}}; }
Json float_argument(double value) { return {{"as_float", value}}; }
Json dtype_argument(DType dtype) { return {{"as_scalar_type", io::pt2_code_of_dtype(dtype)}}; }

Json tensor_meta(DType dtype, const std::vector<int64_t>& shape, bool requires_grad,
                 const Json& like) {
  Json meta = like;
  meta["dtype"] = io::pt2_code_of_dtype(dtype);
  meta["sizes"] = int_list(shape);
  meta["strides"] = int_list(row_major(shape));
  meta["requires_grad"] = requires_grad;
  meta["storage_offset"] = int_argument(0);
  return meta;
}

Json same_shape_meta(DType dtype, const Json& like) {
  Json meta = like;
  meta["dtype"] = io::pt2_code_of_dtype(dtype);
  meta["requires_grad"] = false;
  meta["storage_offset"] = int_argument(0);
  const auto shape = numbers(like["sizes"]);
  const auto strides = numbers(like["strides"]);
  const bool is_known = shape && strides && shape->size() == strides->size();
  if (is_known && !is_dense(*shape, *strides)) meta["strides"] = int_list(row_major(*shape));
  return meta;
}

NodeMaker::NodeMaker(const ProgramJson& program) : program_(program), names_(program.names()) {
  for (const Json& node : program.nodes()) {
    has_names_ |= node.contains("name");
    for (const Json& input : node["inputs"]) has_kinds_ |= input.contains("kind");
  }
}

std::string NodeMaker::fresh_name(const std::string& base) {
  std::string name = base;
  while (!names_.insert(name).second) name = fmt::format("{}_{}", base, ++counts_[base]);
  return name;
}

Json NodeMaker::input(const NewArgument& argument) const {
  constexpr int kPositional = 1, kKeyword = 2;
  Json input = {{"name", argument.name}, {"arg", argument.value}};
  if (has_kinds_) input["kind"] = argument.keyword ? kKeyword : kPositional;
  return input;
}

Json NodeMaker::node(const std::string& target, const std::vector<NewArgument>& arguments,
                     const std::string& result, const Place& place) const {
  Json inputs = Json::array();
  for (const NewArgument& argument : arguments) inputs.push_back(input(argument));
  Json metadata = Json::object();
  if (place.stack_depth > 0) {
    const auto& stack = program_.stack(place.stack_node);
    metadata["nn_module_stack"] = fmt::format(
        "{}", fmt::join(stack.begin(),
                        stack.begin() + static_cast<std::ptrdiff_t>(place.stack_depth), ";"));
  }
  Json node = {{"target", target},
               {"inputs", std::move(inputs)},
               {"outputs", Json::array({tensor_argument(result)})},
               {"metadata", std::move(metadata)}};
  if (has_names_) {
    node["name"] = result;
    node["is_hop_single_tensor_return"] = nullptr;
  }
  return node;
}

}  // namespace lathe::exporting
