// Bytes per second of every kernel (read + written) beside the machine's copy bandwidth, measured
// in the same run on buffers of the same size, far beyond the caches: the counter of_copy_% is the
// ratio.
//   kernels_bench [--benchmark_filter=...]     OMP_NUM_THREADS and LATHE_SIMD are respected
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "base/float16.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace lathe::kernels {
namespace {

constexpr int64_t kRows = 8192;
constexpr int64_t kCols = 16384;

/// Memory aligned as tensors are; every page is touched.
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : size_(size), data_(static_cast<std::byte*>(std::aligned_alloc(4096, aligned(size)))) {
    parallel_for(0, size, 4096, [&](int64_t begin, int64_t end) {
      std::memset(data_.get() + begin, 1, static_cast<size_t>(end - begin));
    });
  }
  std::byte* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  std::span<std::byte> span() const { return {data_.get(), static_cast<size_t>(size_)}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  static size_t aligned(int64_t size) { return (static_cast<size_t>(size) + 4095) / 4096 * 4096; }

  int64_t size_;
  std::unique_ptr<std::byte[], Free> data_;
};

void copy(const Buffer& from, const Buffer& to) {
  parallel_for(0, from.size(), 4096, [&](int64_t begin, int64_t end) {
    std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
  });
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Bytes read and written in a second by copying: the best of several runs.
double copy_bandwidth() {
  static const double best = [] {
    const Buffer from(kRows * kCols * 2);
    const Buffer to(from.size());
    double shortest = seconds([&] { copy(from, to); });
    for (int run = 0; run < 20; ++run) {
      shortest = std::min(shortest, seconds([&] { copy(from, to); }));
    }
    return 2.0 * static_cast<double>(from.size()) / shortest;
  }();
  return best;
}

/// Runs `work`, which reads and writes `bytes`. The counters are of the fastest run, as the copy
/// bandwidth is.
void measure(benchmark::State& state, int64_t bytes, const std::function<void()>& work) {
  double shortest = seconds(work);
  for (auto _ : state) {
    const double time = seconds(work);
    state.SetIterationTime(time);
    shortest = std::min(shortest, time);
  }
  const double best = static_cast<double>(bytes) / shortest;
  state.counters["best_GB/s"] = best / 1e9;
  state.counters["of_copy_%"] = 100 * best / copy_bandwidth();
}

/// A matrix of small numbers of both signs.
struct Input {
  Buffer buffer;
  MatrixView view;

  explicit Input(DType dtype)
      : buffer(kRows * kCols * static_cast<int64_t>(dtype_size(dtype))),
        view{buffer.data(), dtype, kRows, kCols} {
    parallel_for(0, kRows * kCols, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fill(i);
    });
  }

 private:
  void fill(int64_t i) {
    const auto random = static_cast<uint32_t>(i) * 2654435761u;
    const float value = static_cast<float>(static_cast<int32_t>(random)) * 0x1p-36f;
    if (view.dtype == DType::kF32) {
      std::memcpy(buffer.data() + 4 * i, &value, 4);
    } else {
      const uint16_t half =
          view.dtype == DType::kBF16 ? bf16_from_float(value) : f16_from_float(value);
      std::memcpy(buffer.data() + 2 * i, &half, 2);
    }
  }
};

formats::Scales scales_of(const formats::Format& format, MatrixView x) {
  std::vector<float> most(1);
  amax(x, formats::kPerTensor, most);
  const float global = formats::global_scale_from_amax(format, most[0]);
  std::vector<float> grid(
      static_cast<size_t>(formats::grid_shape(format.block, x.rows, x.cols).size()));
  amax(x, format.block, grid);
  return formats::scales_from_amax(format, grid, global);
}

void bench_copy(benchmark::State& state) {
  const Buffer from(kRows * kCols * 2);
  const Buffer to(from.size());
  measure(state, 2 * from.size(), [&] { copy(from, to); });
}

void bench_amax(benchmark::State& state, DType dtype, formats::BlockShape block) {
  const Input x(dtype);
  std::vector<float> grid(static_cast<size_t>(formats::grid_shape(block, kRows, kCols).size()));
  const auto grid_bytes = static_cast<int64_t>(grid.size() * sizeof(float));
  measure(state, x.buffer.size() + grid_bytes,
          [&] { benchmark::DoNotOptimize(amax(x.view, block, grid)); });
}

void bench_fake(benchmark::State& state, const formats::Format& format, DType dtype, bool dynamic) {
  const Input x(dtype);
  const Buffer y(x.buffer.size());
  const MutableMatrixView out{y.data(), dtype, kRows, kCols};
  const formats::Scales scales = scales_of(format, x.view);
  measure(state, 2 * x.buffer.size(), [&] {
    if (dynamic) return fake_quantize_dynamic(format, x.view, scales.global_scale, out);
    fake_quantize(format, x.view, scales.view(), out);
  });
}

int64_t scale_bytes(const formats::Scales& scales) {
  return static_cast<int64_t>(scales.codes.size() + 4 * scales.values.size());
}

void bench_encode(benchmark::State& state, const formats::Format& format, DType dtype,
                  formats::Packing packing, bool dynamic) {
  const Input x(dtype);
  formats::Scales scales = scales_of(format, x.view);
  const Buffer out(formats::packed_size(packing, format.element, kRows, kCols));
  measure(state, x.buffer.size() + out.size() + scale_bytes(scales), [&] {
    if (!dynamic) return encode(format, x.view, scales.view(), packing, out.span());
    encode_dynamic(format, x.view, scales.global_scale, packing, out.span(), scales.mutable_view());
  });
}

void bench_decode(benchmark::State& state, const formats::Format& format, DType dtype,
                  formats::Packing packing) {
  const Input x(dtype);
  const formats::Scales scales = scales_of(format, x.view);
  const Buffer codes(formats::packed_size(packing, format.element, kRows, kCols));
  encode(format, x.view, scales.view(), packing, codes.span());
  const MutableMatrixView out{x.buffer.data(), dtype, kRows, kCols};
  measure(state, x.buffer.size() + codes.size() + scale_bytes(scales),
          [&] { decode(format, codes.span(), packing, scales.view(), out); });
}

template <class Function, class... Args>
void add(const std::string& name, const Function& function, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), function, args...)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

formats::Packing packing_of(const formats::Format& format) {
  if (format.element.bits == 4) return formats::Packing::kNibbles;
  return format.element.bits == 6 ? formats::Packing::kSixBits : formats::Packing::kBytes;
}

void add_all() {
  add("copy", bench_copy);
  for (const DType dtype : {DType::kBF16, DType::kF32, DType::kF16}) {
    const std::string type(dtype_name(dtype));
    add("amax/tensor/" + type, bench_amax, dtype, formats::kPerTensor);
    add("amax/channel/" + type, bench_amax, dtype, formats::kPerChannel);
    add("amax/1x16/" + type, bench_amax, dtype, formats::BlockShape{1, 16});
    add("amax/128x128/" + type, bench_amax, dtype, formats::BlockShape{128, 128});
    for (const auto& [name, format] : formats::named_formats()) {
      const bool dynamic = format.scale != formats::ScaleKind::kFloat32;
      const formats::Packing packing = packing_of(format);
      add(fmt::format("fake/{}/{}", name, type), bench_fake, format, dtype, dynamic);
      add(fmt::format("encode/{}/{}", name, type), bench_encode, format, dtype, packing, dynamic);
      add(fmt::format("decode/{}/{}", name, type), bench_decode, format, dtype, packing);
    }
    add("fake/fp8_per_token/" + type, bench_fake, formats::kFp8PerChannel, dtype, true);
    add("encode/int4_row_pairs/" + type, bench_encode, formats::kInt4Block, dtype,
        formats::Packing::kNibbleRowPairs, false);
    add("encode/int4_int32/" + type, bench_encode, formats::kInt4Block, dtype,
        formats::Packing::kInt32Offset, false);
  }
}

}  // namespace
}  // namespace lathe::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("simd", std::string(lathe::kernels::simd_level()));
  benchmark::AddCustomContext("threads", std::to_string(lathe::max_threads()));
  benchmark::AddCustomContext("copy",
                              fmt::format("{:.1f} GB/s", lathe::kernels::copy_bandwidth() / 1e9));
  lathe::kernels::add_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
