// Attention against softmax(scale * Q K^T) V in float64, on every instruction set.
#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "kernels/samples.h"
#include "kernels/targets.h"
#include "lathe/error.h"

namespace lathe::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  int64_t batch = 1, heads = 2, key_heads = 1, queries = 5, keys = 5, size = 8, value_size = 8;
  bool causal = true;
  std::optional<int64_t> first = {}, last = {};
  float scale = 0.3f;

  Attention shape() const {
    return {.batch = batch,
            .heads = heads,
            .key_heads = key_heads,
            .queries = queries,
            .keys = keys,
            .size = size,
            .value_size = value_size,
            .first = first.value_or(-queries),
            .last = last.value_or(causal ? 0 : keys),
            .scale = scale};
  }
};

/// Heads in a buffer [batch, tokens, heads, size], as they come out of a projection.
struct Tensor {
  Matrix data;
  HeadStrides strides;

  Tensor(DType dtype, int64_t batch, int64_t heads, int64_t tokens, int64_t size, uint32_t seed)
      : data(sample(dtype, batch * tokens, heads * size, seed)),
        strides{tokens * heads * size, size, heads * size} {
    for (int64_t i = 0; i < data.rows * data.cols; ++i) data.set(i, data.get(i) * 2.0f);
  }
  int64_t at(int64_t batch, int64_t head, int64_t token) const {
    return batch * strides.batch + head * strides.head + token * strides.token;
  }
  Heads view() const { return {data.bytes.data(), strides}; }
};

struct Inputs {
  Attention shape;
  Tensor query, key, value;

  Inputs(DType dtype, const Case& c)
      : shape(c.shape()),
        query(dtype, c.batch, c.heads, c.queries, c.size, 1),
        key(dtype, c.batch, c.key_heads, c.keys, c.size, 2),
        value(dtype, c.batch, c.key_heads, c.keys, c.value_size, 3) {}

  Matrix run() const {
    Tensor result(query.data.dtype, shape.batch, shape.heads, shape.queries, shape.value_size, 4);
    attention(query.data.dtype, shape, query.view(), key.view(), value.view(),
              {result.data.bytes.data(), result.strides});
    return result.data;
  }
};

/// One query's probabilities; all 0 if it sees nothing.
std::vector<double> probabilities(const Inputs& in, int64_t batch, int64_t head, int64_t query) {
  const Attention& s = in.shape;
  const int64_t key_head = head / (s.heads / s.key_heads);
  const int64_t begin = std::max<int64_t>(query + s.first, 0);
  const int64_t end = std::min(query + s.last + 1, s.keys);
  std::vector<double> p(static_cast<size_t>(s.keys));
  double most = -kInfinity;
  for (int64_t j = begin; j < end; ++j) {
    double score = 0;
    for (int64_t i = 0; i < s.size; ++i) {
      score += static_cast<double>(in.query.data.get(in.query.at(batch, head, query) + i)) *
               in.key.data.get(in.key.at(batch, key_head, j) + i);
    }
    p[static_cast<size_t>(j)] = score * s.scale;
    most = std::max(most, score * s.scale);
  }
  double sum = 0;
  for (int64_t j = begin; j < end; ++j) sum += std::exp(p[static_cast<size_t>(j)] - most);
  for (int64_t j = begin; j < end; ++j)
    p[static_cast<size_t>(j)] = std::exp(p[static_cast<size_t>(j)] - most) / sum;
  return p;
}

double expected(const Inputs& in, const std::vector<double>& p, int64_t batch, int64_t head,
                int64_t i) {
  double sum = 0;
  for (int64_t j = 0; j < in.shape.keys; ++j) {
    const int64_t key_head = head / (in.shape.heads / in.shape.key_heads);
    sum += p[static_cast<size_t>(j)] * in.value.data.get(in.value.at(batch, key_head, j) + i);
  }
  return sum;
}

/// Half a step of the dtype, and what float32 sums lose.
double tolerance(DType dtype, double value) {
  const double step = dtype == DType::kF32 ? 0 : dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
  return std::abs(value) * step + 3e-5;
}

void expect_attention(DType dtype, const Case& c) {
  SCOPED_TRACE(testing::Message() << dtype_name(dtype) << ", " << c.heads << "/" << c.key_heads
                                  << " heads, " << c.queries << " queries, " << c.keys
                                  << " keys, sizes " << c.size << " and " << c.value_size);
  const Inputs in(dtype, c);
  std::vector<double> reference;
  for (int64_t batch = 0; batch < c.batch; ++batch) {
    for (int64_t query = 0; query < c.queries; ++query) {
      for (int64_t head = 0; head < c.heads; ++head) {
        const std::vector<double> p = probabilities(in, batch, head, query);
        for (int64_t i = 0; i < c.value_size; ++i)
          reference.push_back(expected(in, p, batch, head, i));
      }
    }
  }
  on_each_target([&] {
    const Matrix found = in.run();
    int64_t wrong = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
      const double value = found.get(static_cast<int64_t>(i));
      wrong += !(std::abs(value - reference[i]) <= tolerance(dtype, reference[i]));
    }
    EXPECT_EQ(wrong, 0);
  });
}

TEST(AttentionKernel, HeadSizes) {
  for (const DType dtype : kDTypes) {
    for (const int64_t size : {1, 3, 8, 15, 16, 17, 40, 64, 80}) {
      expect_attention(dtype, {.size = size, .value_size = size});
      expect_attention(dtype, {.size = size, .value_size = 81 - size});
    }
  }
}

/// Around the number of lanes, the keys of a block (64) and the queries of a piece (128).
TEST(AttentionKernel, Lengths) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t tokens : {1, 2, 7, 31, 33, 63, 64, 65, 129, 200}) {
      for (const bool causal : {true, false}) {
        expect_attention(dtype, {.queries = tokens, .keys = tokens, .causal = causal});
      }
    }
  }
}

TEST(AttentionKernel, QueriesAndKeysOfDifferentNumber) {
  for (const bool causal : {true, false}) {
    expect_attention(DType::kF32, {.queries = 3, .keys = 150, .causal = causal});
    expect_attention(DType::kF32, {.queries = 150, .keys = 3, .causal = causal});
    expect_attention(DType::kBF16, {.queries = 1, .keys = 70, .causal = causal});
    expect_attention(DType::kF32, {.queries = 4, .keys = 0, .causal = causal});
  }
}

TEST(AttentionKernel, HeadsThatShareKeys) {
  for (const DType dtype : kDTypes) {
    for (const int64_t key_heads : {1, 2, 3, 6}) {
      expect_attention(dtype,
                       {.batch = 2, .heads = 6, .key_heads = key_heads, .queries = 50, .keys = 50});
    }
  }
}

/// The last query beside the last key; sliding windows; queries that see nothing.
TEST(AttentionKernel, Bands) {
  for (const int64_t window : {1, 2, 10, 64, 90}) {
    expect_attention(DType::kF32, {.queries = 140, .keys = 140, .first = 1 - window, .last = 0});
    expect_attention(DType::kF32,
                     {.queries = 140, .keys = 140, .first = 1 - window, .last = window - 1});
    expect_attention(DType::kF32, {.queries = 20, .keys = 140, .first = 121 - window, .last = 120});
  }
  expect_attention(DType::kBF16, {.queries = 90, .keys = 20, .first = -90, .last = -70});
  expect_attention(DType::kF32, {.queries = 9, .keys = 9, .first = 3, .last = 2});
  expect_attention(DType::kF32, {.queries = 9, .keys = 9, .first = 50, .last = 60});
}

TEST(AttentionKernel, Scales) {
  for (const float scale : {0.0f, 1.0f, -0.5f, 3.0f}) {
    expect_attention(DType::kF32, {.queries = 80, .keys = 80, .scale = scale});
  }
}

/// What is not finite stays with the queries that see it.
TEST(AttentionKernel, NanAndInfinity) {
  const Case c{.heads = 1, .queries = 100, .keys = 100, .size = 8, .value_size = 3};
  on_each_target([&] {
    Inputs nan_query(DType::kF32, c);
    nan_query.query.data.set(nan_query.query.at(0, 0, 40), NAN);
    Inputs nan_key(DType::kF32, c);
    nan_key.key.data.set(nan_key.key.at(0, 0, 70), NAN);
    Inputs infinite(DType::kF32, c);
    infinite.query.data.set(infinite.query.at(0, 0, 40), kInfinity);
    for (int64_t i = 0; i < 100; ++i) infinite.key.data.set(infinite.key.at(0, 0, i), -1.0f);
    const Matrix plain = Inputs(DType::kF32, c).run();
    const Matrix a = nan_query.run(), b = nan_key.run(), d = infinite.run();
    for (int64_t i = 0; i < 100 * 3; ++i) {
      EXPECT_EQ(std::isnan(a.get(i)), i / 3 == 40) << i;
      EXPECT_EQ(std::isnan(b.get(i)), i / 3 >= 70) << i;
    }
    for (int64_t i = 0; i < 70 * 3; ++i) EXPECT_EQ(b.get(i), plain.get(i)) << i;
    for (int64_t i = 40 * 3; i < 41 * 3; ++i) EXPECT_EQ(d.get(i), 0.0f) << "all are -infinity";
  });
}

/// Scores that differ by more than float32's exponents reach.
TEST(AttentionKernel, LargeScores) {
  Inputs in(DType::kF32, {.heads = 1, .queries = 70, .keys = 70, .size = 1, .value_size = 1});
  for (int64_t i = 0; i < 70; ++i) {
    in.query.data.set(i, 1000.0f);
    in.key.data.set(i, static_cast<float>(i));
  }
  on_each_target([&] {
    const Matrix found = in.run();
    for (int64_t i = 0; i < 70; ++i) EXPECT_EQ(found.get(i), in.value.data.get(i)) << i;
  });
}

TEST(AttentionKernel, ThreadsGiveTheSameBits) {
  for (const DType dtype : kDTypes) {
    const Inputs in(dtype, {.batch = 2, .heads = 6, .key_heads = 3, .queries = 300, .keys = 300});
    const int threads = max_threads();
    set_threads(1);
    const Matrix expected = in.run();
    for (const int count : {2, 3, 7}) {
      set_threads(count);
      EXPECT_TRUE(in.run() == expected) << count << " threads";
    }
    set_threads(threads);
  }
}

TEST(AttentionKernel, HeadsThatCannotShareAreInternalErrors) {
  EXPECT_THROW(Inputs(DType::kF32, {.heads = 3, .key_heads = 2}).run(), InternalError);
}

}  // namespace
}  // namespace lathe::kernels
