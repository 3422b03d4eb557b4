#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/dtype.h"

// Quantized archives of torch.export, as PyTorch's PT2E flow writes them: the source program with
// quantized_decomposed::quantize_* and dequantize_* around what is computed in few bits, and
// weights that are stored as codes. Nothing here needs LibTorch.

namespace lathe::exporting {

/// The affine scheme of quantized_decomposed: code = clamp(round(x / scale) + zero_point,
/// quant_min, quant_max), x' = (code - zero_point) * scale.
///
/// float8_e4m3fn and float8_e5m2 have zero points of 0, and their codes are rounded to the format
/// alone: quantized_decomposed::quantize_per_tensor would round to whole numbers first, so such
/// activations are written as mul, clamp, to and dequantize_per_tensor.
struct QdqScheme {
  std::vector<float> scales;  // one; with `axis` one per channel; with `group_size` [N, K / group]
  std::vector<int64_t> zero_points;  // as many; empty: all 0
  int64_t quant_min = -128;
  int64_t quant_max = 127;
  DType dtype = DType::kI8;           // of the codes
  std::optional<int64_t> axis;        // one scale per index of this dimension: weights alone
  std::optional<int64_t> group_size;  // along the last of two dimensions: weights alone, no axis
  friend bool operator==(const QdqScheme&, const QdqScheme&) = default;
};

/// Takes the bytes of a tensor, in order, in pieces of any size.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// A tensor that is asked for its bytes when it is written: once, all of them, little-endian, in
/// row-major order.
struct TensorSource {
  DType dtype;
  std::vector<int64_t> shape;
  std::function<void(const ByteSink&)> write;
};

// Nodes are named by the first value that they give: "conv2d_3". Tensors have the names of the
// program's signature: "layer1.0.conv1.weight".

/// What `node` is given as `argument` ("input", "self", "mat1") is quantized for it. Equal schemes
/// of one value share a pair of quantize and dequantize.
struct ActivationEdit {
  std::string node;
  std::string argument;
  QdqScheme scheme;
  std::optional<size_t> item = {};  // of an argument that is a list of tensors (aten::cat)
};

/// What `node` gives is quantized for all who read it, the caller of the program included.
struct OutputEdit {
  std::string node;
  QdqScheme scheme;
};

/// A parameter or saved buffer is stored as codes in its own shape (`codes.dtype` is the scheme's),
/// in a buffer of its name; all who read it read them dequantized. Scales per channel or group are
/// buffers NAME_scale and NAME_zero_point.
struct WeightEdit {
  std::string name;
  TensorSource codes;
  QdqScheme scheme;
};

/// A parameter or saved buffer gets other values of the same dtype and shape.
struct ReplacedTensor {
  std::string name;
  TensorSource values;
};

/// A convolution or linear without a bias gets one: the parameter `name`.
struct NewBias {
  std::string node;
  std::string name;
  TensorSource values;
};

/// A node is left out; who read its first value reads `instead`, an earlier value of the same dtype
/// and shape. Parameters and buffers that it alone read, and unread ones beside them, are dropped.
struct DroppedNode {
  std::string node;
  std::string instead;
};

struct ProgramEdits {
  std::vector<ActivationEdit> activations;
  std::vector<OutputEdit> outputs;
  std::vector<WeightEdit> weights;
  std::vector<ReplacedTensor> replaced;
  std::vector<NewBias> biases;
  std::vector<DroppedNode> dropped;
};

/// What was written.
struct WrittenProgram {
  size_t bytes = 0;         // of the archive
  size_t entries = 0;       // of the archive
  size_t weight_bytes = 0;  // of all weights, codes, scales, buffers and constants
  size_t quantizers = 0;    // pairs of quantize and dequantize
  size_t dequantized_weights = 0;
};

/// A source archive, and copies of it with edits. The layout of the source (torch 2.6: pickled
/// tensors; later: one entry for each) is kept, and all that is not edited.
class QuantizedProgram {
 public:
  /// Opens the source. UserError if it cannot be opened, DataError if it is broken.
  explicit QuantizedProgram(const std::filesystem::path& source);
  /// The same for an archive in memory, which the caller keeps alive.
  QuantizedProgram(std::span<const std::byte> source, const std::string& name);
  ~QuantizedProgram();
  QuantizedProgram(QuantizedProgram&&) noexcept;
  QuantizedProgram& operator=(QuantizedProgram&&) noexcept;

  /// All that stands against the edits, each a message: nodes and tensors that are not there, or
  /// lie in the graph of a higher-order operator, shapes that do not fit. Before calibration:
  /// scales may be empty, and the tensors' `write`.
  std::vector<std::string> problems(const ProgramEdits& edits) const;

  /// About how many bytes the archive will have at most: for the disk's space.
  size_t planned_bytes(const ProgramEdits& edits) const;

  /// Writes `output` under a temporary name, syncs and renames it; an older file is replaced. One
  /// tensor is in memory at a time. `progress` is told how many bytes of tensors were written since
  /// it was last called. DataError that lists all problems if there are any, or if scales are
  /// missing, not positive or not finite; InternalError if a tensor gives other than its bytes.
  WrittenProgram write(const ProgramEdits& edits, const std::filesystem::path& output,
                       const std::function<void(size_t)>& progress = {}) const;
  /// The same to anywhere.
  WrittenProgram write(const ProgramEdits& edits, const ByteSink& output,
                       const std::function<void(size_t)>& progress = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::exporting
