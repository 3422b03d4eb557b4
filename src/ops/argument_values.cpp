#include "ops/argument_values.h"

#include <ATen/ScalarOps.h>

#include "base/error.h"

namespace lathe::ops {
namespace {

using ir::Argument;

struct PlainValue {
  const ValueView& values;

  c10::IValue operator()(std::monostate) const { return {}; }
  c10::IValue operator()(bool value) const { return value; }
  c10::IValue operator()(int64_t value) const { return value; }
  c10::IValue operator()(double value) const { return value; }
  c10::IValue operator()(const std::string& value) const { return value; }
  c10::IValue operator()(at::ScalarType value) const { return static_cast<int64_t>(value); }
  c10::IValue operator()(const ir::Node* node) const { return values.of(node); }
  c10::IValue operator()(const Argument::List& list) const {
    c10::List<c10::IValue> items(c10::AnyType::get());
    for (const Argument& item : list) items.push_back(to_value(item, values));
    return items;
  }
};

template <typename Item, typename Convert>
c10::IValue typed_list(const Argument::List& list, const Convert& convert) {
  c10::List<Item> items;
  for (const Argument& item : list) items.push_back(convert(item));
  return items;
}

c10::IValue list_value(const Argument::List& list, const ValueView& values,
                       const c10::TypePtr& element) {
  const auto convert = [&](const Argument& item) { return to_value(item, values, element); };
  switch (element->kind()) {
    case c10::TypeKind::TensorType:
      return typed_list<at::Tensor>(list,
                                    [&](const Argument& item) { return convert(item).toTensor(); });
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return typed_list<int64_t>(list, [&](const Argument& item) { return convert(item).toInt(); });
    case c10::TypeKind::FloatType:
      return typed_list<double>(list,
                                [&](const Argument& item) { return convert(item).toDouble(); });
    case c10::TypeKind::BoolType:
      return typed_list<bool>(list, [&](const Argument& item) { return convert(item).toBool(); });
    case c10::TypeKind::OptionalType:
      return typed_list<std::optional<at::Tensor>>(list, [&](const Argument& item) {
        const c10::IValue value = to_value(item, values);
        return value.isNone() ? std::optional<at::Tensor>()
                              : std::optional<at::Tensor>(value.toTensor());
      });
    case c10::TypeKind::StringType:
      return typed_list<std::string>(
          list, [&](const Argument& item) { return convert(item).toStringRef(); });
    case c10::TypeKind::NumberType:
      return typed_list<at::Scalar>(list,
                                    [&](const Argument& item) { return convert(item).toScalar(); });
    default:
      throw_internal("operators with lists of {} are not known", element->str());
  }
}

/// A number where a tensor is wanted: it does not decide the result's dtype.
at::Tensor wrapped_number(const at::Scalar& number) {
  at::Tensor tensor = at::scalar_to_tensor(number);
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

}  // namespace

c10::IValue to_value(const Argument& argument, const ValueView& values) {
  return std::visit(PlainValue{values}, argument.value());
}

c10::IValue to_value(const Argument& argument, const ValueView& values, const c10::TypePtr& type) {
  if (argument.is_none()) return {};
  if (const auto optional = type->cast<c10::OptionalType>()) {
    return to_value(argument, values, optional->getElementType());
  }
  const auto list_type = type->cast<c10::ListType>();
  if (const auto* list = std::get_if<Argument::List>(&argument.value())) {
    check_internal(list_type != nullptr, "a list is given where {} is wanted", type->str());
    return list_value(*list, values, list_type->getElementType());
  }
  c10::IValue value = to_value(argument, values);
  if (type->kind() == c10::TypeKind::FloatType && value.isInt())
    return static_cast<double>(value.toInt());
  if (type->kind() == c10::TypeKind::TensorType && value.isScalar())
    return wrapped_number(value.toScalar());
  if (type->kind() == c10::TypeKind::DeviceObjType && value.isString())
    return c10::Device(value.toStringRef());
  if (list_type != nullptr && (value.isInt() || value.isDouble()))  // "int[2] stride" takes one
    return list_value({argument}, values, list_type->getElementType());
  return value;
}

}  // namespace lathe::ops
