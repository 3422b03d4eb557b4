#include "export/hf_checkpoint/pack_weight.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "export/hf_checkpoint/scale_storage.h"

namespace lathe::exporting {
namespace {

using formats::Scales;
using kernels::MatrixView;

/// Bytes of weight in a strip: it should still be in the cache when it is read for the second time.
constexpr int64_t kStripBytes = int64_t{1} << 20;

/// Rows [row, row + weight.rows) of a weight, with the part of its scales that they use.
struct Strip {
  int64_t row;
  MatrixView weight;
  int64_t first_cell;
  int64_t cells;
};

class WeightPacker {
 public:
  WeightPacker(const PlannedLayer& layer, MatrixView weight, const Scales& scales)
      : layer_(layer),
        format_(layer.scheme.weight),
        weight_(weight),
        grid_(formats::grid_shape(format_.block, weight.rows, weight.cols)),
        scales_(scales),
        computed_(scales.codes.empty() && scales.values.empty()) {
    check_scales();
  }

  void pack(const PackedSink& write, const ScaleSink& write_scales) {
    if (computed_ && !write_scales) keep_computed();
    const int64_t rows = strip_rows();
    parallel_for(0, ceil_div(weight_.rows, rows), 1, [&](int64_t begin, int64_t end) {
      std::vector<std::byte> packed;
      for (int64_t i = begin; i < end; ++i) {
        const Strip strip = strip_at(i * rows, std::min(rows, weight_.rows - i * rows));
        packed.resize(packed_bytes(strip.weight.rows));
        check_finite(strip);
        if (computed_) {
          const Scales computed = encode_computed(strip, packed);
          take(strip, computed, write_scales);
        } else {
          encode(strip, packed);
        }
        write(packed_bytes(strip.row), packed);
      }
    });
  }

  Scales take_scales() { return std::move(scales_); }

 private:
  void check_scales() const {
    const std::string& path = layer_.scheme.path;
    check_internal(scales_.kind == format_.scale, "{}: scales of another kind than the format's",
                   path);
    const bool floats = format_.scale == formats::ScaleKind::kFloat32;
    const size_t given = floats ? scales_.values.size() : scales_.codes.size();
    check_internal(computed_ || given == static_cast<size_t>(grid_.size()),
                   "{}: {} scales, the grid has {}", path, given, grid_.size());
    check_internal(!computed_ || format_.block.rows > 0,
                   "{}: the scale of a whole tensor is not computed in strips", path);
  }

  /// Strips hold whole blocks and whole pairs of rows.
  int64_t strip_rows() const {
    const int64_t unit = std::max<int64_t>(2, format_.block.rows);
    const int64_t row_bytes = weight_.cols * static_cast<int64_t>(dtype_size(weight_.dtype));
    const int64_t rows = std::max<int64_t>(1, kStripBytes / std::max<int64_t>(1, row_bytes));
    return ceil_div(rows, unit) * unit;
  }

  Strip strip_at(int64_t row, int64_t rows) const {
    const auto* data = static_cast<const std::byte*>(weight_.data) +
                       static_cast<size_t>(row * weight_.cols) * dtype_size(weight_.dtype);
    const int64_t grid_row = format_.block.rows == 0 ? 0 : row / format_.block.rows;
    return {.row = row,
            .weight = {data, weight_.dtype, rows, weight_.cols},
            .first_cell = grid_row * grid_.cols,
            .cells = formats::grid_shape(format_.block, rows, weight_.cols).size()};
  }

  size_t packed_bytes(int64_t rows) const {
    return static_cast<size_t>(
        formats::packed_size(layer_.storage.packing, format_.element, rows, weight_.cols));
  }

  void check_finite(const Strip& strip) const {
    float amax = 0.0f;
    const auto result = kernels::amax(strip.weight, formats::kPerTensor, {&amax, 1});
    if (result.nonfinite == 0) return;
    throw_data("{}.weight: NaN or infinite elements in rows {} to {}", layer_.scheme.path,
               strip.row, strip.row + strip.weight.rows - 1);
  }

  void keep_computed() {
    const auto cells = static_cast<size_t>(grid_.size());
    if (format_.scale == formats::ScaleKind::kFloat32) {
      scales_.values.resize(cells);
    } else {
      scales_.codes.resize(cells);
    }
  }

  void take(const Strip& strip, const Scales& computed, const ScaleSink& write_scales) {
    const auto first = static_cast<size_t>(strip.first_cell);
    if (write_scales) return write_scales(first, computed);
    std::copy(computed.values.begin(), computed.values.end(),
              scales_.values.begin() + static_cast<std::ptrdiff_t>(first));
    std::copy(computed.codes.begin(), computed.codes.end(),
              scales_.codes.begin() + static_cast<std::ptrdiff_t>(first));
  }

  Scales encode_computed(const Strip& strip, std::span<std::byte> packed) const {
    const formats::Packing packing = layer_.storage.packing;
    if (format_.scale == formats::ScaleKind::kFloat32) {
      std::vector<float> amax(static_cast<size_t>(strip.cells));
      kernels::amax(strip.weight, format_.block, amax);
      Scales scales = formats::scales_from_amax(format_, amax);
      fit_weight_scales(layer_.storage, scales);
      kernels::encode(format_, strip.weight, scales.view(), packing, packed);
      return scales;
    }
    Scales scales = Scales::make(format_.scale, strip.cells, scales_.global_scale);
    kernels::encode_dynamic(format_, strip.weight, scales_.global_scale, packing, packed,
                            scales.mutable_view());
    return scales;
  }

  void encode(const Strip& strip, std::span<std::byte> packed) const {
    const auto first = static_cast<size_t>(strip.first_cell);
    const auto cells = static_cast<size_t>(strip.cells);
    formats::ScalesView view = scales_.view();
    if (!view.values.empty()) view.values = view.values.subspan(first, cells);
    if (!view.codes.empty()) view.codes = view.codes.subspan(first, cells);
    kernels::encode(format_, strip.weight, view, layer_.storage.packing, packed);
  }

  const PlannedLayer& layer_;
  const formats::Format& format_;
  MatrixView weight_;
  formats::GridShape grid_;
  Scales scales_;
  bool computed_;
};

}  // namespace

Scales pack_weight(const PlannedLayer& layer, MatrixView weight, const Scales& scales,
                   const PackedSink& write, const ScaleSink& write_scales) {
  check_internal(weight.rows == layer.rows && weight.cols == layer.cols,
                 "{}: a weight of [{}, {}], [{}, {}] is planned", layer.scheme.path, weight.rows,
                 weight.cols, layer.rows, layer.cols);
  WeightPacker packer(layer, weight, scales);
  packer.pack(write, write_scales);
  return packer.take_scales();
}

}  // namespace lathe::exporting
