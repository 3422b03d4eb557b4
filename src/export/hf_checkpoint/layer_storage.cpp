#include "export/hf_checkpoint/layer_storage.h"

#include <algorithm>

#include "base/error.h"
#include "export/hf_checkpoint/planned_layer.h"

namespace lathe::exporting {
namespace {

formats::Format stored_part(formats::Format format) {
  format.element.narrow_range = false;
  format.scale_bound = 0.0f;
  return format;
}

std::vector<int64_t> shape_of(PartShape shape, const LayerScheme& scheme,
                              const LayerStorage& storage, int64_t rows, int64_t cols) {
  const formats::GridShape grid = formats::grid_shape(scheme.weight.block, rows, cols);
  switch (shape) {
    case PartShape::kPacked: {
      const auto packed = formats::packed_shape(storage.packing, scheme.weight.element, rows, cols);
      return {packed.rows, packed.cols};
    }
    case PartShape::kScalar:
      return {};
    case PartShape::kOne:
      return {1};
    case PartShape::kRows:
      return {rows};
    case PartShape::kColumn:
      return {rows, 1};
    case PartShape::kCols:
      return {cols};
    case PartShape::kGrid:
      return {grid.rows, grid.cols};
    case PartShape::kBlocks4d:
      if (grid.size() == 1) return {};
      return {grid.rows, 1, grid.cols, 1};
    case PartShape::kTwo:
      return {2};
  }
  throw_internal("no shape {}", static_cast<int>(shape));
}

}  // namespace

void StoredParts::push_back(const StoredPart& part) {
  auto more = parts_ ? std::make_shared<std::vector<StoredPart>>(*parts_)
                     : std::make_shared<std::vector<StoredPart>>();
  more->push_back(part);
  parts_ = std::move(more);
}

void StoredParts::share_if_equal(const StoredParts& other) {
  if (parts_ && other.parts_ && *parts_ == *other.parts_) parts_ = other.parts_;
}

void add_storage(std::vector<std::optional<LayerStorage>>& storages,
                 std::optional<LayerStorage> storage) {
  if (storage && !storages.empty() && storages.back())
    storage->parts.share_if_equal(storages.back()->parts);
  storages.push_back(std::move(storage));
}

const StoredPart* LayerStorage::find(LayerPart part) const {
  const auto found = std::ranges::find(parts, part, &StoredPart::part);
  return found == parts.end() ? nullptr : &*found;
}

std::vector<io::TensorSpec> layer_tensors(const LayerScheme& scheme, const LayerStorage& storage,
                                          int64_t rows, int64_t cols) {
  std::vector<io::TensorSpec> tensors;
  for (const StoredPart& part : storage.parts) {
    tensors.push_back({scheme.path + "." + std::string(part.suffix), part.dtype,
                       shape_of(part.shape, scheme, storage, rows, cols)});
  }
  return tensors;
}

std::vector<io::TensorSpec> PlannedLayer::tensors() const {
  std::vector<io::TensorSpec> all = layer_tensors(scheme, storage, rows, cols);
  if (!is_fused()) return all;
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = fused_tensor(*place, storage.parts[i], std::move(all[i]));
  return all;
}

std::vector<io::TensorSpec> PlannedCache::tensors() const {
  std::vector<io::TensorSpec> all;
  if (scheme.has_scales) all.insert(all.end(), {key, value});
  if (scheme.is_affine()) all.insert(all.end(), {key_bias, value_bias});
  return all;
}

bool same_storage(const formats::Format& a, const formats::Format& b) {
  return stored_part(a) == stored_part(b);
}

}  // namespace lathe::exporting
