#include "frontends/torch_export/operators.h"

#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "io/pt2_layout.h"
#include "ir/scalar_types.h"
#include "ops/scalar_functions.h"

namespace lathe::frontends::torch_export {
namespace {

/// Python's functions on numbers: they are traced where sizes are symbolic.
std::optional<std::string> scalar_function(std::string_view target) {
  for (const std::string_view prefix : {"_operator.", "operator.", "math.", "torch.sym_"}) {
    if (!target.starts_with(prefix)) continue;
    const std::string name = fmt::format("builtin::{}", target.substr(prefix.size()));
    if (ops::find_scalar_function(name) != nullptr) return name;
  }
  // "torch._sym_sqrt" is the symbolic form of math.sqrt.
  constexpr std::string_view kMath = "torch._sym_";
  if (target.starts_with(kMath)) {
    const std::string name = fmt::format("builtin::{}", target.substr(kMath.size()));
    if (ops::find_scalar_function(name) != nullptr) return name;
  }
  return std::nullopt;
}

int64_t memory_format(int64_t code) {
  constexpr std::array formats = {c10::MemoryFormat::Contiguous, c10::MemoryFormat::ChannelsLast,
                                  c10::MemoryFormat::ChannelsLast3d, c10::MemoryFormat::Preserve};
  if (code < 1 || code > static_cast<int64_t>(formats.size()))
    throw Untraceable{fmt::format("memory format {} is not known", code)};
  return static_cast<int64_t>(formats[static_cast<size_t>(code - 1)]);
}

int64_t layout(int64_t code) {
  constexpr int64_t kStrided = 7;
  if (code != kStrided) throw Untraceable{"sparse tensors are not supported"};
  return static_cast<int64_t>(c10::Layout::Strided);
}

}  // namespace

std::string operator_name(const std::string& target) {
  constexpr std::string_view kPrefix = "torch.ops.";
  if (auto name = scalar_function(target)) return *name;
  if (!target.starts_with(kPrefix))
    throw Untraceable{fmt::format("the function {} is not known", target)};
  const std::string_view rest = std::string_view(target).substr(kPrefix.size());
  const size_t first = rest.find('.');
  const size_t last = rest.rfind('.');
  if (first == std::string_view::npos || last == first)
    throw Untraceable{fmt::format("the operator {} is not supported", target)};
  const std::string name =
      fmt::format("{}::{}", rest.substr(0, first), rest.substr(first + 1, last - first - 1));
  std::string overload(rest.substr(last + 1));
  if (overload == "default") overload.clear();
  if (!c10::Dispatcher::singleton().findSchema({name, overload}))
    throw Untraceable{
        fmt::format("this LibTorch has no operator {}.{}", name, rest.substr(last + 1))};
  return overload.empty() ? name : name + "." + overload;
}

std::optional<c10::OperatorHandle> find_operator(const std::string& op) {
  const size_t dot = op.find('.');
  return c10::Dispatcher::singleton().findSchema(
      {op.substr(0, dot), dot == op.npos ? "" : op.substr(dot + 1)});
}

bool fits(const Value& value, const c10::Type& type) {
  using Kind = Value::Kind;
  using Type = c10::TypeKind;
  if (type.kind() == Type::OptionalType)
    return value.kind == Kind::kNone || fits(value, *type.containedType(0));
  const auto is_one_of = [&](std::initializer_list<Type> kinds) {
    return std::find(kinds.begin(), kinds.end(), type.kind()) != kinds.end();
  };
  const bool is_list = type.kind() == Type::ListType;
  switch (value.kind) {
    case Kind::kNone:
      return type.kind() == Type::NoneType;
    case Kind::kName:
      return is_one_of({Type::TensorType, Type::IntType, Type::SymIntType, Type::FloatType,
                        Type::NumberType, Type::BoolType});
    case Kind::kBool:
      return is_one_of({Type::BoolType, Type::NumberType, Type::TensorType});
    case Kind::kInt:
      if (is_list) return fits(value, *type.containedType(0));
      return is_one_of(
          {Type::IntType, Type::SymIntType, Type::FloatType, Type::NumberType, Type::TensorType});
    case Kind::kFloat:
      if (is_list) return fits(value, *type.containedType(0));
      return is_one_of({Type::FloatType, Type::NumberType, Type::TensorType});
    case Kind::kString:
      return is_one_of({Type::StringType});
    case Kind::kScalarType:
    case Kind::kMemoryFormat:
    case Kind::kLayout:
      return is_one_of({Type::IntType});
    case Kind::kDevice:
      return is_one_of({Type::DeviceObjType});
    case Kind::kList:
      return is_list && std::all_of(value.items.begin(), value.items.end(), [&](const Value& item) {
               return item.kind != Kind::kList && fits(item, *type.containedType(0));
             });
    case Kind::kGraph:
    case Kind::kUnsupported:
      return true;  // constant_argument says why not
  }
  return false;
}

std::optional<at::ScalarType> scalar_type_of_code(int64_t code) {
  if (code == 9) return at::kComplexHalf;
  if (code == 10) return at::kComplexFloat;
  if (code == 11) return at::kComplexDouble;
  const auto dtype = io::dtype_of_pt2_code(code);
  return dtype ? std::optional(ir::to_scalar_type(*dtype)) : std::nullopt;
}

ir::Argument constant_argument(const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kNone:
      return {};
    case Kind::kBool:
      return value.integer != 0;
    case Kind::kInt:
      return value.integer;
    case Kind::kFloat:
      return value.real;
    case Kind::kString:
      return value.text;
    case Kind::kScalarType:
      if (const auto dtype = scalar_type_of_code(value.integer)) return *dtype;
      throw Untraceable{fmt::format("dtype {} is not known", value.integer)};
    case Kind::kMemoryFormat:
      return memory_format(value.integer);
    case Kind::kLayout:
      return layout(value.integer);
    case Kind::kDevice:  // models are run where Lathe is told to run them
      return "cpu";
    case Kind::kList: {
      ir::Argument::List items;
      for (const Value& item : value.items) items.push_back(constant_argument(item));
      return items;
    }
    case Kind::kGraph:
      throw Untraceable{"graphs as arguments are not supported"};
    case Kind::kUnsupported:
      throw Untraceable{fmt::format("arguments of kind {} are not supported", value.text)};
    case Kind::kName:
      break;
  }
  throw_internal("the value {} is no constant", value.text);
}

}  // namespace lathe::frontends::torch_export
