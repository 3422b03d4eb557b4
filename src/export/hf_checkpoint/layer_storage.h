#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "export/hf_checkpoint/scheme.h"
#include "formats/packing.h"
#include "io/checkpoint_layout.h"

namespace lathe::exporting {

/// What one tensor of a quantized layer holds.
enum class LayerPart : uint8_t {
  kWeight,         // the packed codes
  kWeightScale,    // of each cell of the weight's grid: a float or a code
  kGlobalScale,    // of two-level formats: the float32 above the codes
  kInputScale,     // of inputs that are not dynamic
  kPreQuantScale,  // [K]
  kWeightShape,    // N and K as int64
};

/// The shape of a tensor of a layer with a weight [N, K].
enum class PartShape : uint8_t {
  kPacked,    // of the codes, by packing
  kScalar,    // []
  kOne,       // [1]
  kRows,      // [N]
  kColumn,    // [N, 1]
  kCols,      // [K]
  kGrid,      // [N / block, K / block]
  kBlocks4d,  // [N / block, 1, K / block, 1]; [] for a single block
  kTwo,       // [2]
};

/// One tensor of a layer: "<path>.<suffix>".
struct StoredPart {
  LayerPart part;
  std::string_view suffix;
  DType dtype;
  PartShape shape;
  bool reciprocal = false;  // the file holds 1 / value

  bool operator==(const StoredPart&) const = default;
};

/// The tensors of a layer, the weight first. Copies share them: most layers have the same.
class StoredParts {
 public:
  void push_back(const StoredPart& part);
  /// Shares those of `other`, which are equal.
  void share_if_equal(const StoredParts& other);

  auto begin() const { return all().begin(); }
  auto end() const { return all().end(); }
  size_t size() const { return all().size(); }
  const StoredPart& front() const { return all().front(); }
  const StoredPart& operator[](size_t index) const { return all()[index]; }

 private:
  std::span<const StoredPart> all() const {
    return parts_ ? std::span<const StoredPart>(*parts_) : std::span<const StoredPart>();
  }

  std::shared_ptr<const std::vector<StoredPart>> parts_;
};

/// How a dialect stores a layer.
struct LayerStorage {
  std::string_view name;  // "NVFP4", "nvfp4-pack-quantized"
  formats::Packing packing = formats::Packing::kBytes;
  StoredParts parts;
  bool extension = false;  // Lathe's own: it reads such layers, no engine does yet

  /// Null if the layer has no such tensor.
  const StoredPart* find(LayerPart part) const;
};

/// Adds a storage to the list, sharing what it can with the one before.
void add_storage(std::vector<std::optional<LayerStorage>>& storages,
                 std::optional<LayerStorage> storage);

/// The tensors of a layer with a weight [rows, cols] = [N, K], in the order of the parts.
std::vector<io::TensorSpec> layer_tensors(const LayerScheme& scheme, const LayerStorage& storage,
                                          int64_t rows, int64_t cols);

/// True if two formats are stored in the same way: narrow_range and scale_bound do not show.
bool same_storage(const formats::Format& a, const formats::Format& b);

}  // namespace lathe::exporting
