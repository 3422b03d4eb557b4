#include "frontends/huggingface/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace lathe::frontends {
namespace {

/// The rope section under whichever key it stands; `config` itself if there is none.
ConfigReader rope_section(const ConfigReader& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    auto section = config.find_object(key);
    if (!section || section->json().empty()) continue;
    for (const auto& [name, value] : section->json().items()) {
      if (value.is_object()) section->unsupported(name, "rope settings by layer type");
    }
    return *section;
  }
  return config;
}

void check_rotary_fraction(const ConfigReader& reader) {
  if (reader.positive_or("partial_rotary_factor", 1.0) != 1.0) {
    reader.unsupported("partial_rotary_factor", "heads are rotated whole");
  }
}

double read_original_context(const ConfigReader& config, const ConfigReader& section) {
  for (const ConfigReader* reader : {&config, &section}) {
    if (auto context = reader->find_positive("original_max_position_embeddings")) return *context;
  }
  return config.positive("max_position_embeddings");
}

/// 0.1 mscale ln(scale) + 1 of YaRN (Peng et al. 2023, arXiv:2309.00071).
double yarn_mscale(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

double read_attention_factor(const ConfigReader& section, double factor) {
  if (auto given = section.find_positive("attention_factor")) return *given;
  const auto mscale = section.find_positive("mscale");
  const auto all_dim = section.find_positive("mscale_all_dim");
  if (mscale && all_dim) return yarn_mscale(factor, *mscale) / yarn_mscale(factor, *all_dim);
  return yarn_mscale(factor, 1.0);
}

void read_llama3(const ConfigReader& config, const ConfigReader& section, RopeSettings& rope) {
  rope.factor = section.positive("factor");
  rope.low_freq_factor = section.positive("low_freq_factor");
  rope.high_freq_factor = section.positive("high_freq_factor");
  rope.original_max_position_embeddings = read_original_context(config, section);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    section.fail("high_freq_factor", "above low_freq_factor");
  }
}

void read_yarn(const ConfigReader& config, const ConfigReader& section, RopeSettings& rope) {
  rope.original_max_position_embeddings = read_original_context(config, section);
  rope.factor = section.has("factor") ? section.positive("factor")
                                      : config.positive("max_position_embeddings") /
                                            rope.original_max_position_embeddings;
  rope.attention_factor = read_attention_factor(section, rope.factor);
  rope.beta_fast = section.positive_or("beta_fast", rope.beta_fast);
  rope.beta_slow = section.positive_or("beta_slow", rope.beta_slow);
  rope.truncate = section.flag_or("truncate", rope.truncate);
}

/// theta^(2i / head_dim).
at::Tensor position_frequencies(const RopeSettings& settings, int64_t head_dim) {
  const at::Tensor exponents =
      at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / static_cast<double>(head_dim);
  return at::pow(at::Scalar(settings.theta), exponents);
}

/// The index of the dimension that turns `rotations` times within the original context.
double correction_dim(const RopeSettings& settings, double rotations, double head_dim) {
  return head_dim *
         std::log(settings.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(settings.theta));
}

at::Tensor yarn_frequencies(const RopeSettings& settings, int64_t head_dim) {
  const auto dim = static_cast<double>(head_dim);
  double low = correction_dim(settings, settings.beta_fast, dim);
  double high = correction_dim(settings, settings.beta_slow, dim);
  if (settings.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const at::Tensor ramp =
      at::clamp((at::arange(head_dim / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor kept = 1 - ramp;
  const at::Tensor frequencies = position_frequencies(settings, head_dim);
  return (settings.factor * frequencies).reciprocal() * (1 - kept) +
         frequencies.reciprocal() * kept;
}

at::Tensor llama3_frequencies(const RopeSettings& settings, int64_t head_dim) {
  const double context = settings.original_max_position_embeddings;
  const double low = settings.low_freq_factor;
  const double high = settings.high_freq_factor;
  const at::Tensor base = position_frequencies(settings, head_dim).reciprocal();
  const at::Tensor wavelength = (2 * std::numbers::pi) * base.reciprocal();
  const at::Tensor scaled = at::where(wavelength > context / low, base / settings.factor, base);
  const at::Tensor smooth = (context * wavelength.reciprocal() - low) / (high - low);
  const at::Tensor smoothed = (1 - smooth) * scaled / settings.factor + smooth * scaled;
  const at::Tensor is_medium =
      (wavelength >= context / high).logical_and(wavelength <= context / low);
  return at::where(is_medium, smoothed, scaled);
}

}  // namespace

RopeSettings read_rope(const ConfigReader& config) {
  const ConfigReader section = rope_section(config);
  check_rotary_fraction(config);
  check_rotary_fraction(section);
  RopeSettings rope;
  rope.theta = section.positive_or("rope_theta", config.positive_or("rope_theta", rope.theta));
  if (&section.json() == &config.json()) return rope;
  const char* type_key = section.has("rope_type") ? "rope_type" : "type";
  rope.type = section.text_or(type_key, "default");
  if (rope.type == "linear") {
    rope.factor = section.positive("factor");
  } else if (rope.type == "llama3") {
    read_llama3(config, section, rope);
  } else if (rope.type == "yarn") {
    read_yarn(config, section, rope);
  } else if (rope.type != "default") {
    section.unsupported(type_key, "supported: default, linear, llama3, yarn");
  }
  return rope;
}

Rope make_rope(const RopeSettings& settings, int64_t head_dim) {
  if (settings.type == "llama3") return {llama3_frequencies(settings, head_dim), 1.0};
  if (settings.type == "yarn") {
    return {yarn_frequencies(settings, head_dim), settings.attention_factor};
  }
  const at::Tensor base = position_frequencies(settings, head_dim).reciprocal();
  return {settings.type == "linear" ? base / settings.factor : base, 1.0};
}

at::Tensor llama3_divisors(const RopeSettings& settings, int64_t head_dim) {
  return position_frequencies(settings, head_dim).reciprocal() /
         llama3_frequencies(settings, head_dim);
}

}  // namespace lathe::frontends
