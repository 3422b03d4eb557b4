#pragma once

#include <c10/core/ScalarType.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/scale.h"
#include "frontends/huggingface/quant_algos.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// A weight [rows, cols] of packed codes; its parts are read when they are needed.
struct PackedMatrix {
  formats::Format format;
  formats::Packing packing = formats::Packing::kBytes;
  int64_t rows = 0;
  int64_t cols = 0;
  std::function<at::Tensor()> codes;  // contiguous, as `packing` says
  std::function<formats::Scales()> scales;
};

/// The values, in float32, bfloat16 or float16.
at::Tensor decode(const PackedMatrix& matrix, at::ScalarType dtype);

/// Float32 scales from a tensor of any floating-point dtype, row-major. One of 0 (of a block of
/// zeros) becomes 1; DataError that names the tensor for others that are not finite and above 0.
formats::Scales read_float_scales(const StoredTensor& tensor);

/// Checks the tensors of one quantized Linear against its algorithm and each other, and puts the
/// decoded weight in their place in the store: "<path>.weight" has then the shape [N, K] and
/// `dtype`, and the scales are gone. Adds to `problems` what is missing, too much or of the wrong
/// shape, dtype or value; the store is unchanged then.
std::optional<QuantizedLinear> decode_linear(const std::string& path, const QuantAlgo& algo,
                                             std::optional<int64_t> group_size,
                                             at::ScalarType dtype, TensorStore& store,
                                             std::vector<std::string>& problems);

/// The value of a scale of shape [] or [1]; a problem if it is of another shape or dtype, not
/// finite or below 0.
std::optional<float> read_scalar(const StoredTensor& tensor, std::vector<std::string>& problems);

}  // namespace lathe::frontends
