#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "formats/scale.h"
#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// How the integers of GPTQ and AWQ lie in int32 words, the lowest bits first. Weights are stored
/// as [K, N]; K has groups of rows that share a scale and a zero point for each column.
struct IntegerLayout {
  int bits = 4;          // 2, 4 or 8
  bool along_k = true;   // a word of the weight holds values of one column (GPTQ), or of one row
  bool swapped = false;  // AWQ: the columns 0, 2, 4, 6, 1, 3, 5, 7 of eight, in this order
  int zero_offset = 0;   // added to stored zero points: 1 in GPTQ's first format

  int per_word() const { return 32 / bits; }
};

/// A weight of integers: value [n, k] = (code [k, n] - zero [g, n]) * scale [g, n], g = groups[k].
struct IntegerWeight {
  IntegerLayout layout;
  int64_t rows = 0;                    // N
  int64_t cols = 0;                    // K
  int64_t group_size = 0;              // divides K
  std::function<at::Tensor()> codes;   // int32: [K / per_word, N], or [K, N / per_word]
  std::function<at::Tensor()> zeros;   // int32 [K / group_size, N / per_word]
  std::function<at::Tensor()> scales;  // float32 [K / group_size, N]
  std::function<at::Tensor()> groups;  // int64 [K]; null: k / group_size
  std::string name;                    // for messages: FILE: TENSOR
};

/// The value [N, K] in float32, bfloat16 or float16. DataError for a group that is out of range or
/// scales that are not finite.
at::Tensor decode(const IntegerWeight& weight, at::ScalarType dtype);

/// For weights without zero points: the scales of the signed codes by row and group. DataError if
/// there are zero points after all, or the groups are in another order.
formats::Scales symmetric_scales(const IntegerWeight& weight);

/// The tensors qweight, qzeros, scales and g_idx of modules, and what is said of them.
struct IntegerSource {
  const char* method;  // "gptq"
  IntegerLayout layout;
  int64_t group_size = 0;  // 0: whole columns
  bool symmetric = false;  // no zero points
  bool in_order = true;    // groups are runs of rows
};

/// "group_size" of a section (or "q_group_size"): 0 for -1, which stands for whole columns.
int64_t read_group_size(const ConfigReader& section);

/// Takes all such weights out of the store; see read_quantization.
QuantizedSource read_integer_weights(const IntegerSource& from, const ConfigReader& section,
                                     TensorStore& store, at::ScalarType dtype);

}  // namespace lathe::frontends
