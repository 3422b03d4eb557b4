#include "frontends/huggingface/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace lathe::frontends {
namespace {

/// theta^(2i / size).
at::Tensor position_frequencies(const RopeSettings& settings, int64_t size) {
  const at::Tensor exponents =
      at::arange(0, size, 2, at::kLong).to(at::kFloat) / static_cast<double>(size);
  return at::pow(at::Scalar(settings.theta), exponents);
}

/// The index of the dimension that turns `rotations` times within the original context.
double correction_dim(const RopeSettings& settings, double rotations, double size) {
  return size *
         std::log(settings.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(settings.theta));
}

at::Tensor yarn_frequencies(const RopeSettings& settings, int64_t size) {
  const auto dim = static_cast<double>(size);
  double low = correction_dim(settings, settings.beta_fast, dim);
  double high = correction_dim(settings, settings.beta_slow, dim);
  if (settings.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const at::Tensor ramp = at::clamp((at::arange(size / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor kept = 1 - ramp;
  const at::Tensor frequencies = position_frequencies(settings, size);
  return (settings.factor * frequencies).reciprocal() * (1 - kept) +
         frequencies.reciprocal() * kept;
}

at::Tensor llama3_frequencies(const RopeSettings& settings, int64_t size) {
  const double context = settings.original_max_position_embeddings;
  const double low = settings.low_freq_factor;
  const double high = settings.high_freq_factor;
  const at::Tensor base = position_frequencies(settings, size).reciprocal();
  const at::Tensor wavelength = (2 * std::numbers::pi) * base.reciprocal();
  const at::Tensor scaled = at::where(wavelength > context / low, base / settings.factor, base);
  const at::Tensor smooth = (context * wavelength.reciprocal() - low) / (high - low);
  const at::Tensor smoothed = (1 - smooth) * scaled / settings.factor + smooth * scaled;
  const at::Tensor is_medium =
      (wavelength >= context / high).logical_and(wavelength <= context / low);
  return at::where(is_medium, smoothed, scaled);
}

/// 1 / (factor theta^(2i / size)), one factor a frequency.
at::Tensor longrope_frequencies(const RopeSettings& settings, const std::vector<double>& factors,
                                int64_t size) {
  const at::Tensor extension = at::tensor(factors, at::kFloat);
  return (extension * position_frequencies(settings, size)).reciprocal();
}

void set_buffer(ir::Module& module, const char* name, at::Tensor value) {
  module.buffers.set(name, std::make_shared<ir::Parameter>(std::move(value)));
}

}  // namespace

Rope make_rope(const RopeSettings& settings, int64_t size) {
  if (settings.type == "llama3") return {llama3_frequencies(settings, size), 1.0};
  if (settings.type == "yarn") {
    return {yarn_frequencies(settings, size), settings.attention_factor};
  }
  if (settings.type == "longrope") {
    return {longrope_frequencies(settings, settings.short_factors, size),
            settings.attention_factor};
  }
  const at::Tensor base = position_frequencies(settings, size).reciprocal();
  return {settings.type == "linear" ? base / settings.factor : base, 1.0};
}

at::Tensor llama3_divisors(const RopeSettings& settings, int64_t size) {
  return position_frequencies(settings, size).reciprocal() / llama3_frequencies(settings, size);
}

ir::ModulePtr make_rotary_embedding(const RopeSettings& settings, int64_t size,
                                    const std::string& source_name) {
  const bool is_long = settings.type == "longrope";
  if (is_long && static_cast<int64_t>(settings.long_factors.size()) != size / 2) {
    throw_data("{}: longrope needs {} factors in short_factor and long_factor, found {}",
               source_name, size / 2, settings.long_factors.size());
  }
  const Rope rope = make_rope(settings, size);
  const bool is_dynamic = settings.type == "dynamic";
  ir::ModulePtr module = ir::make_module(is_dynamic ? "DynamicRotaryEmbedding"
                                         : is_long  ? "LongRotaryEmbedding"
                                                    : "RotaryEmbedding");
  module->attributes.set("attention_scaling", rope.attention_scaling);
  set_buffer(*module, "inv_freq", rope.inv_freq);
  if (is_dynamic || is_long) {
    module->attributes.set("context",
                           static_cast<int64_t>(settings.original_max_position_embeddings));
  }
  if (is_dynamic) {
    module->attributes.set("theta", settings.theta);
    module->attributes.set("factor", settings.factor);
  }
  if (is_long) {
    set_buffer(*module, "long_inv_freq",
               longrope_frequencies(settings, settings.long_factors, size));
  }
  return module;
}

}  // namespace lathe::frontends
