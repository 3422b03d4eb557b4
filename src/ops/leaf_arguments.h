#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "ir/module.h"

namespace lathe::ops {

/// What a leaf function is given.
using LeafArguments = std::span<const c10::IValue>;

inline const at::Tensor& tensor_argument(const ir::Module& module, LeafArguments arguments,
                                         size_t index) {
  check_internal(index < arguments.size() && arguments[index].isTensor(),
                 "{} needs a tensor as argument {}", module.type, index);
  return arguments[index].toTensor();
}

inline const at::Tensor& parameter(const ir::Module& module, std::string_view name) {
  const ir::ParameterPtr* found = module.parameters.find(name);
  check_internal(found != nullptr, "{} has no parameter {}", module.type, name);
  return (*found)->tensor();
}

inline std::optional<at::Tensor> optional_parameter(const ir::Module& module,
                                                    std::string_view name) {
  const ir::ParameterPtr* found = module.parameters.find(name);
  if (found == nullptr) return std::nullopt;
  return (*found)->tensor();
}

inline const at::Tensor& buffer(const ir::Module& module, std::string_view name) {
  const ir::ParameterPtr* found = module.buffers.find(name);
  check_internal(found != nullptr, "{} has no buffer {}", module.type, name);
  return (*found)->tensor();
}

}  // namespace lathe::ops
