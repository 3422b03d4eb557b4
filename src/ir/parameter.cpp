#include "ir/parameter.h"

#include "base/error.h"
#include "ir/text.h"

namespace lathe::ir {

Parameter::Parameter(at::ScalarType dtype, std::vector<int64_t> shape, Loader load)
    : dtype_(dtype), shape_(std::move(shape)), load_(std::move(load)) {}

Parameter::Parameter(at::Tensor value)
    : dtype_(value.scalar_type()), shape_(value.sizes().vec()), value_(std::move(value)) {}

int64_t Parameter::numel() const {
  int64_t numel = 1;
  for (int64_t size : shape_) numel *= size;
  return numel;
}

int64_t Parameter::bytes() const {
  return numel() * static_cast<int64_t>(c10::elementSize(dtype_));
}

const at::Tensor& Parameter::tensor() const {
  if (!value_.defined()) {
    check_internal(load_ != nullptr, "a parameter without value or source was asked for");
    at::Tensor value = load_();
    if (value.scalar_type() != dtype_ || value.sizes() != at::IntArrayRef(shape_)) {
      throw_internal("a parameter's source gave {} for {}", describe(Parameter(value)),
                     describe(*this));
    }
    value_ = std::move(value);
  }
  return value_;
}

void Parameter::release() const {
  if (load_) value_ = at::Tensor();
}

void Parameter::set(at::Tensor value) {
  dtype_ = value.scalar_type();
  shape_ = value.sizes().vec();
  value_ = std::move(value);
  load_ = nullptr;
}

}  // namespace lathe::ir
