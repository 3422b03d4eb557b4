#include "kernels/attention.h"

#include <hwy/aligned_allocator.h>

#include <atomic>
#include <limits>

#include "base/parallel.h"
#include "kernels/cpu/attention_work.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

/// A strip is two vectors of queries, side by side in the lanes: what belongs to a query (scores,
/// maxima, sums, the result) never leaves its lane, and elements of keys and values are broadcast.
constexpr int64_t kStrip = 2 * kLanes;
constexpr int64_t kStrips = kPieceQueries / kStrip;
/// Keys at a time; their scores for a strip stay in the first-level cache.
constexpr int64_t kKeyBlock = 64;
/// Rows of a register tile: 2 * kTileRows sums, and what they are made of.
constexpr int64_t kTileRows = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 8 : 4;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct VStrip {
  VF low, high;
};
HWY_INLINE VStrip load_strip(const float* from) {
  return {hn::Load(DF(), from), hn::Load(DF(), from + kLanes)};
}
HWY_INLINE void store_strip(VStrip value, float* to) {
  hn::Store(value.low, DF(), to);
  hn::Store(value.high, DF(), to + kLanes);
}
HWY_INLINE VStrip set_strip(float value) { return {hn::Set(DF(), value), hn::Set(DF(), value)}; }

/// 2^x for x <= 0 (by a polynomial on [-1/2, 1/2], relative error 2^-26), 0 below -126.
HWY_INLINE VF exp2_of_negative(VF x) {
  const DF d;
  const VF n = hn::Round(x);
  const VF r = hn::Sub(x, n);
  VF sum = hn::Set(d, 1.54531634e-4f);
  for (const float coefficient :
       {1.33908633e-3f, 9.61808302e-3f, 5.55035695e-2f, 0.240226507f, 0.693147182f, 1.0f}) {
    sum = hn::MulAdd(sum, r, hn::Set(d, coefficient));
  }
  const auto exponent = hn::Add(hn::ConvertTo(DI(), n), hn::Set(DI(), 127));
  const VF power = hn::BitCast(d, hn::ShiftLeft<23>(exponent));
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, -126.0f)), hn::Zero(d), hn::Mul(sum, power));
}

/// c[row][query] = sum over k < depth of a[row * row_step + k * depth_step] * b[k][query], for the
/// rows of a tile. kAdd: c[row][query] * factor[query] is added first.
template <bool kAdd>
HWY_INLINE void multiply_tile(int64_t depth, const float* HWY_RESTRICT a, int64_t row_step,
                              int64_t depth_step, const float* HWY_RESTRICT b, VStrip factor,
                              float* HWY_RESTRICT c) {
  const DF d;
  VF low[kTileRows], high[kTileRows];
  HWY_UNROLL(8)
  for (int64_t row = 0; row < kTileRows; ++row) {
    const VStrip before = kAdd ? load_strip(c + row * kStrip) : factor;
    low[row] = kAdd ? hn::Mul(before.low, factor.low) : hn::Zero(d);
    high[row] = kAdd ? hn::Mul(before.high, factor.high) : hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const VStrip right = load_strip(b + k * kStrip);
    HWY_UNROLL(8)
    for (int64_t row = 0; row < kTileRows; ++row) {
      const VF left = hn::Set(d, a[row * row_step + k * depth_step]);
      low[row] = hn::MulAdd(left, right.low, low[row]);
      high[row] = hn::MulAdd(left, right.high, high[row]);
    }
  }
  HWY_UNROLL(8)
  for (int64_t row = 0; row < kTileRows; ++row)
    store_strip({low[row], high[row]}, c + row * kStrip);
}

/// A row of `size` elements as float32, and zeros up to `padded_size`, a multiple of kLanes.
template <class IO>
HWY_INLINE void widen_row(const typename IO::T* from, int64_t size, int64_t padded_size,
                          float* to) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) hn::StoreU(IO::load(from + i), DF(), to + i);
  if (i < size) {
    typename IO::T tail[kLanes] = {};
    std::memcpy(tail, from + i, static_cast<size_t>(size - i) * sizeof(tail[0]));
    hn::StoreU(IO::load(tail), DF(), to + i);
    i += kLanes;
  }
  for (; i < padded_size; i += kLanes) hn::StoreU(hn::Zero(DF()), DF(), to + i);
}

template <class IO>
HWY_INLINE void narrow_row(const float* from, int64_t size, typename IO::T* to) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) IO::store(hn::LoadU(DF(), from + i), to + i);
  if (i >= size) return;
  typename IO::T tail[kLanes];
  IO::store(hn::LoadU(DF(), from + i), tail);
  std::memcpy(to + i, tail, static_cast<size_t>(size - i) * sizeof(tail[0]));
}

/// The keys that a query sees, or those that some and all of a strip's queries see.
struct KeyRange {
  int64_t begin, end;
};

/// Does pieces of work in memory of its own.
template <class IO>
class Worker {
 public:
  using T = typename IO::T;

  explicit Worker(const AttentionWork& work)
      : work_(work),
        shape_(work.shape),
        group_(work.group()),
        key_size_(round_up(shape_.size, kMaxLanes)),
        value_size_(round_up(shape_.value_size, kMaxLanes)),
        keys_(hwy::AllocateAligned<float>(count(kKeyBlock * key_size_))),
        values_(hwy::AllocateAligned<float>(count(kKeyBlock * value_size_))),
        scores_(hwy::AllocateAligned<float>(count(kKeyBlock * kStrip))),
        row_(hwy::AllocateAligned<float>(count(std::max(key_size_, value_size_)))) {
    for (Strip& strip : strips_) {
      strip.query = hwy::AllocateAligned<float>(count(shape_.size * kStrip));
      strip.result = hwy::AllocateAligned<float>(count(value_size_ * kStrip));
    }
  }

  /// Pieces of the last tokens, which see most in causal attention, have the lowest numbers.
  void run(int64_t piece) {
    const int64_t pairs = shape_.batch * shape_.key_heads;
    const int64_t begin = (work_.pieces_per_head() - 1 - piece / pairs) * kPieceQueries;
    const int64_t end = std::min(begin + kPieceQueries, work_.rows());
    batch_ = piece % pairs / shape_.key_heads;
    head_ = piece % pairs % shape_.key_heads;
    const int64_t strips = ceil_div(end - begin, kStrip);
    KeyRange seen{shape_.keys, 0};
    for (int64_t i = 0; i < strips; ++i) {
      start(strips_[i], begin + i * kStrip, end);
      seen.begin = std::min(seen.begin, strips_[i].seen.begin);
      seen.end = std::max(seen.end, strips_[i].seen.end);
    }
    for (int64_t key = seen.begin; key < seen.end; key += kKeyBlock) {
      const int64_t keys = std::min(kKeyBlock, seen.end - key);
      load_block(key, keys);
      for (int64_t i = 0; i < strips; ++i) add_block(strips_[i], key, keys);
    }
    for (int64_t i = 0; i < strips; ++i) finish(strips_[i]);
  }

 private:
  struct Strip {
    hwy::AlignedFreeUniquePtr<float[]> query;   // [size][kStrip], times scale / ln(2)
    hwy::AlignedFreeUniquePtr<float[]> result;  // [value_size_][kStrip], not yet divided by sum
    HWY_ALIGN float most[kStrip];               // of the scores, in units of ln(2)
    HWY_ALIGN float sum[kStrip];                // of 2^(score - most)
    int64_t begin, end;                         // rows
    KeyRange seen;                              // by some query
    KeyRange seen_by_all;
  };

  static int64_t round_up(int64_t size, int64_t unit) {
    return ceil_div(std::max<int64_t>(size, 0), unit) * unit;
  }
  static size_t count(int64_t elements) {
    return static_cast<size_t>(std::max<int64_t>(elements, 1));
  }

  KeyRange seen_by(int64_t row) const {
    const int64_t token = row / group_;
    return {std::max<int64_t>(token + shape_.first, 0),
            std::min(token + shape_.last + 1, shape_.keys)};
  }

  /// Where a row starts in a tensor with all heads.
  int64_t offset(const HeadStrides& strides, int64_t row) const {
    return batch_ * strides.batch + (head_ * group_ + row % group_) * strides.head +
           row / group_ * strides.token;
  }

  void start(Strip& strip, int64_t begin, int64_t end) {
    strip.begin = begin;
    strip.end = std::min(begin + kStrip, end);
    const KeyRange first = seen_by(strip.begin);
    const KeyRange last = seen_by(strip.end - 1);
    strip.seen = {first.begin, last.end};
    strip.seen_by_all = {last.begin, first.end};
    store_strip(set_strip(-kInfinity), strip.most);
    store_strip(set_strip(0.0f), strip.sum);
    std::fill_n(strip.result.get(), value_size_ * kStrip, 0.0f);
    const float scale = shape_.scale * 1.44269504f;  // e^x = 2^(x * log2(e))
    for (int64_t row = strip.begin; row < strip.end; ++row) {
      const T* const from =
          static_cast<const T*>(work_.query.data) + offset(work_.query.strides, row);
      widen_row<IO>(from, shape_.size, key_size_, row_.get());
      float* const to = strip.query.get() + (row - strip.begin);
      for (int64_t i = 0; i < shape_.size; ++i) to[i * kStrip] = row_[i] * scale;
    }
    const int64_t rows = strip.end - strip.begin;
    if (rows == kStrip) return;
    for (int64_t i = 0; i < shape_.size; ++i)
      std::fill(strip.query.get() + i * kStrip + rows, strip.query.get() + (i + 1) * kStrip, 0.0f);
  }

  /// Keys and values as float32; rows that fill up the last tile are 0.
  void load_block(int64_t key, int64_t keys) {
    const HeadStrides& key_strides = work_.key.strides;
    const HeadStrides& value_strides = work_.value.strides;
    const T* const from_keys = static_cast<const T*>(work_.key.data) + batch_ * key_strides.batch +
                               head_ * key_strides.head;
    const T* const from_values = static_cast<const T*>(work_.value.data) +
                                 batch_ * value_strides.batch + head_ * value_strides.head;
    for (int64_t i = 0; i < keys; ++i) {
      widen_row<IO>(from_keys + (key + i) * key_strides.token, shape_.size, key_size_,
                    keys_.get() + i * key_size_);
      widen_row<IO>(from_values + (key + i) * value_strides.token, shape_.value_size, value_size_,
                    values_.get() + i * value_size_);
    }
    const int64_t filled = round_up(keys, kTileRows);
    std::fill_n(keys_.get() + keys * key_size_, (filled - keys) * key_size_, 0.0f);
    std::fill_n(values_.get() + keys * value_size_, (filled - keys) * value_size_, 0.0f);
  }

  void add_block(Strip& strip, int64_t key, int64_t keys) {
    // Of the block, in whole tiles.
    const int64_t begin = std::max<int64_t>(strip.seen.begin - key, 0) / kTileRows * kTileRows;
    const int64_t end = round_up(std::min(strip.seen.end - key, keys), kTileRows);
    if (begin >= end) return;
    for (int64_t i = begin; i < end; i += kTileRows) {
      multiply_tile<false>(shape_.size, keys_.get() + i * key_size_, key_size_, 1,
                           strip.query.get(), set_strip(0.0f), scores_.get() + i * kStrip);
    }
    const bool all_seen =
        strip.seen_by_all.begin <= key + begin && key + end <= strip.seen_by_all.end;
    if (!all_seen) hide(strip, key, begin, end);
    const VStrip factor = softmax(strip, begin, end);
    for (int64_t i = 0; i < value_size_; i += kTileRows) {
      multiply_tile<true>(end - begin, values_.get() + begin * value_size_ + i, 1, value_size_,
                          scores_.get() + begin * kStrip, factor, strip.result.get() + i * kStrip);
    }
  }

  /// Scores of keys that a query does not see become -infinity.
  void hide(const Strip& strip, int64_t key, int64_t begin, int64_t end) {
    for (int64_t lane = 0; lane < strip.end - strip.begin; ++lane) {
      const KeyRange seen = seen_by(strip.begin + lane);
      for (int64_t i = begin; i < std::min(seen.begin - key, end); ++i)
        scores_[i * kStrip + lane] = -kInfinity;
      for (int64_t i = std::max(seen.end - key, begin); i < end; ++i)
        scores_[i * kStrip + lane] = -kInfinity;
    }
  }

  /// Scores become probabilities, times a factor of the strip's own. Gives what earlier sums must
  /// be multiplied by.
  HWY_INLINE VStrip softmax(Strip& strip, int64_t begin, int64_t end) {
    const DF d;
    const VStrip before = load_strip(strip.most);
    VStrip most = before;
    for (int64_t i = begin; i < end; ++i) {
      const VStrip score = load_strip(scores_.get() + i * kStrip);
      most = {hn::Max(most.low, score.low), hn::Max(most.high, score.high)};
    }
    store_strip(most, strip.most);
    // Of a query that has seen nothing yet the maximum is -infinity, which must not be subtracted.
    const VF nothing = hn::Set(d, -kInfinity);
    const VStrip shift = {hn::IfThenElse(hn::Eq(most.low, nothing), hn::Zero(d), most.low),
                          hn::IfThenElse(hn::Eq(most.high, nothing), hn::Zero(d), most.high)};
    const VStrip factor = {exp2_of_negative(hn::Sub(before.low, shift.low)),
                           exp2_of_negative(hn::Sub(before.high, shift.high))};
    VStrip sum = load_strip(strip.sum);
    sum = {hn::Mul(sum.low, factor.low), hn::Mul(sum.high, factor.high)};
    for (int64_t i = begin; i < end; ++i) {
      const VStrip score = load_strip(scores_.get() + i * kStrip);
      const VStrip weight = {exp2_of_negative(hn::Sub(score.low, shift.low)),
                             exp2_of_negative(hn::Sub(score.high, shift.high))};
      sum = {hn::Add(sum.low, weight.low), hn::Add(sum.high, weight.high)};
      store_strip(weight, scores_.get() + i * kStrip);
    }
    store_strip(sum, strip.sum);
    return factor;
  }

  void finish(Strip& strip) {
    const DF d;
    const VStrip sum = load_strip(strip.sum);
    const VF one = hn::Set(d, 1.0f);
    const VF low = hn::IfThenElse(hn::Eq(sum.low, hn::Zero(d)), hn::Zero(d), hn::Div(one, sum.low));
    const VF high =
        hn::IfThenElse(hn::Eq(sum.high, hn::Zero(d)), hn::Zero(d), hn::Div(one, sum.high));
    for (int64_t i = 0; i < shape_.value_size; ++i) {
      const VStrip value = load_strip(strip.result.get() + i * kStrip);
      store_strip({hn::Mul(value.low, low), hn::Mul(value.high, high)},
                  strip.result.get() + i * kStrip);
    }
    for (int64_t row = strip.begin; row < strip.end; ++row) {
      const float* const from = strip.result.get() + (row - strip.begin);
      for (int64_t i = 0; i < shape_.value_size; ++i) row_[i] = from[i * kStrip];
      narrow_row<IO>(row_.get(), shape_.value_size,
                     static_cast<T*>(work_.result.data) + offset(work_.result.strides, row));
    }
  }

  const AttentionWork& work_;
  const Attention& shape_;
  int64_t group_;
  int64_t key_size_;                           // padded
  int64_t value_size_;                         // padded
  int64_t batch_ = 0;                          // of the piece
  int64_t head_ = 0;                           // its key head
  hwy::AlignedFreeUniquePtr<float[]> keys_;    // [kKeyBlock][key_size_]
  hwy::AlignedFreeUniquePtr<float[]> values_;  // [kKeyBlock][value_size_]
  hwy::AlignedFreeUniquePtr<float[]> scores_;  // [kKeyBlock][kStrip]
  hwy::AlignedFreeUniquePtr<float[]> row_;
  Strip strips_[kStrips];
};

/// Takes pieces until none is left.
void attend(const AttentionWork& work, std::atomic<int64_t>& next) {
  with_dtype(work.dtype, [&](auto io) {
    Worker<decltype(io)> worker(work);
    for (int64_t piece = next++; piece < work.pieces(); piece = next++) worker.run(piece);
  });
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {

HWY_EXPORT(attend);

void attention(DType dtype, const Attention& shape, const Heads& query, const Heads& key,
               const Heads& value, const MutableHeads& result) {
  init_simd();
  check_internal(shape.key_heads > 0 && shape.heads % shape.key_heads == 0,
                 "attention: {} heads cannot share {} key heads", shape.heads, shape.key_heads);
  const AttentionWork work{dtype, shape, query, key, value, result};
  std::atomic<int64_t> next = 0;
  parallel_for(0, std::min<int64_t>(work.pieces(), max_threads()), 1, [&](int64_t, int64_t) {
    HWY_DYNAMIC_DISPATCH(attend)(work, next);
  });
}

}  // namespace lathe::kernels
#endif
