#include "kernels/cpu/block_scales.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/float16.h"

namespace lathe::kernels {

using formats::ScaleKind;

const float* GivenScales::of(const Piece& piece, ScaleRoom& room) const {
  switch (scales.kind) {
    case ScaleKind::kFloat32:
      return scales.values.data() + piece.cell;
    case ScaleKind::kE4M3TwoLevel:
      two_level_values_row(scales.codes.data() + piece.cell, piece.blocks, scales.global_scale,
                           room.scales);
      return room.scales;
    case ScaleKind::kE8M0:
      e8m0_values_row(scales.codes.data() + piece.cell, piece.blocks, room.scales);
      return room.scales;
  }
  throw_internal("scale kind {}", static_cast<int>(scales.kind));
}

namespace {
float value_at(ConstElements x, int64_t i) {
  if (x.dtype == DType::kF32) return static_cast<const float*>(x.data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(x.data)[i];
  return x.dtype == DType::kBF16 ? float_from_bf16(bits) : float_from_f16(bits);
}

/// Scales that end a block at 6 (`amax`) or at 4 (1.5 of it), and what each costs.
struct Candidate {
  std::vector<float> scales;
  std::vector<uint8_t> codes;
  std::vector<float> rounded;

  Candidate(const float* amax, const Piece& piece, float bound, float global_scale)
      : scales(amax, amax + piece.blocks),
        codes(static_cast<size_t>(piece.blocks)),
        rounded(static_cast<size_t>(piece.count)) {
    two_level_scales_row(scales.data(), piece.blocks, bound, global_scale, codes.data(),
                         scales.data());
  }

  void round(formats::Element element, std::span<const float> x, int64_t block) {
    round_row(element, {x.data(), DType::kF32, static_cast<int64_t>(x.size())}, block,
              scales.data(), rounded.data(), false);
  }

  double error(std::span<const float> x, size_t begin, size_t end) const {
    return formats::squared_error(x.subspan(begin, end - begin),
                                  std::span(rounded).subspan(begin, end - begin));
  }
};

/// The codes and scales of the blocks whose amax is in `scales`: of two candidates the one of the
/// smaller squared error, the first if they are equal.
void choose_scales(formats::Element element, ConstElements x, const Piece& piece, int64_t block,
                   float global_scale, uint8_t* codes, float* scales) {
  std::vector<float> values(static_cast<size_t>(x.count));
  for (int64_t i = 0; i < x.count; ++i) values[static_cast<size_t>(i)] = value_at(x, i);
  const float bound = formats::max_bound(element);
  Candidate six(scales, piece, bound, global_scale);
  for (int64_t i = 0; i < piece.blocks; ++i) scales[i] *= 1.5f;
  Candidate four(scales, piece, bound, global_scale);
  six.round(element, values, block);
  four.round(element, values, block);
  for (size_t i = 0; i < six.codes.size(); ++i) {
    const size_t begin = i * static_cast<size_t>(block);
    const size_t end = std::min(begin + static_cast<size_t>(block), values.size());
    const bool is_four = four.error(values, begin, end) < six.error(values, begin, end);
    const Candidate& best = is_four ? four : six;
    codes[i] = best.codes[i];
    scales[i] = best.scales[i];
  }
}
}  // namespace

const float* ComputedScales::of(const Piece& piece, ScaleRoom& room) const {
  std::fill_n(room.scales, piece.blocks, 0.0f);
  amax_row(elements(x, piece), block_cols, room.scales);
  const float bound = formats::max_bound(format.element);
  uint8_t* codes = stored.codes.empty() ? room.codes : stored.codes.data() + piece.cell;
  switch (format.scale) {
    case ScaleKind::kFloat32:
      for (int64_t i = 0; i < piece.blocks; ++i) {
        room.scales[i] = formats::scale_from_amax(room.scales[i], bound);
      }
      if (!stored.values.empty()) {
        std::copy_n(room.scales, piece.blocks, stored.values.data() + piece.cell);
      }
      break;
    case ScaleKind::kE4M3TwoLevel:
      if (format.four_over_six()) {
        choose_scales(format.element, elements(x, piece), piece, block_cols, global_scale, codes,
                      room.scales);
      } else {
        two_level_scales_row(room.scales, piece.blocks, bound, global_scale, codes, room.scales);
      }
      break;
    case ScaleKind::kE8M0:
      e8m0_scales_row(room.scales, piece.blocks, bound, codes, room.scales);
      break;
  }
  return room.scales;
}

bool fits_one_pass(const formats::Format& format, MatrixView x) {
  constexpr int64_t kCached = 65536;
  const int64_t block_cols = format.block.cols == 0 ? x.cols : format.block.cols;
  const bool one_row = format.block.rows == 1 || (format.block.rows == 0 && x.rows == 1);
  const bool empty = x.rows == 0 || x.cols == 0;  // has no pieces, but may have scales
  return one_row && block_cols <= kCached && !empty;
}

formats::Scales compute_scales(const formats::Format& format, MatrixView x, float global_scale) {
  const auto grid = formats::grid_shape(format.block, x.rows, x.cols);
  std::vector<float> amax_grid(static_cast<size_t>(grid.size()));
  amax(x, format.block, amax_grid);
  check_internal(!format.four_over_six() || amax_grid.empty(), "{} of blocks of {} x {}",
                 formats::format_name(format), format.block.rows, format.block.cols);
  return formats::scales_from_amax(format, amax_grid, global_scale);
}

}  // namespace lathe::kernels
