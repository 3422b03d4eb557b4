#include "frontends/huggingface/rope_settings.h"

#include <cmath>

namespace lathe::frontends {
namespace {

/// The rope section under whichever key it stands.
std::optional<ConfigReader> rope_section(const ConfigReader& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    auto section = config.find_object(key);
    if (!section || section->json().empty()) continue;
    for (const auto& [name, value] : section->json().items()) {
      if (value.is_object()) section->unsupported(name, "rope settings by layer type");
    }
    return section;
  }
  return std::nullopt;
}

/// The one in the section counts; both must be 1 where heads are rotated whole.
double read_rotary_fraction(const ConfigReader& config, const ConfigReader& section,
                            const RopeDefaults& defaults) {
  constexpr const char* kKey = "partial_rotary_factor";
  const ConfigReader& reader = section.has(kKey) ? section : config;
  const double fraction = reader.positive_or(kKey, defaults.partial_rotary_factor.value_or(1.0));
  if (fraction > 1.0) reader.fail(kKey, "at most 1");
  if (!defaults.partial_rotary_factor && fraction != 1.0) {
    reader.unsupported(kKey, "heads are rotated whole");
  }
  return fraction;
}

double read_original_context(const ConfigReader& config, const ConfigReader& section,
                             const RopeDefaults& defaults) {
  for (const ConfigReader* reader : {&config, &section}) {
    if (auto context = reader->find_positive("original_max_position_embeddings")) return *context;
  }
  if (defaults.original_max_position_embeddings) return *defaults.original_max_position_embeddings;
  return config.positive("max_position_embeddings");
}

double read_attention_factor(const ConfigReader& section, double factor) {
  if (auto given = section.find_positive("attention_factor")) return *given;
  const auto mscale = section.find_positive("mscale");
  const auto all_dim = section.find_positive("mscale_all_dim");
  if (mscale && all_dim) return yarn_mscale(factor, *mscale) / yarn_mscale(factor, *all_dim);
  return yarn_mscale(factor, 1.0);
}

void read_llama3(const ConfigReader& section, RopeSettings& rope) {
  rope.factor = section.positive("factor");
  rope.low_freq_factor = section.positive("low_freq_factor");
  rope.high_freq_factor = section.positive("high_freq_factor");
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    section.fail("high_freq_factor", "above low_freq_factor");
  }
}

/// The factor, or how far the context was stretched.
double stretch(const ConfigReader& config, const ConfigReader& section, const RopeSettings& rope) {
  if (auto factor = section.find_positive("factor")) return *factor;
  return config.positive("max_position_embeddings") / rope.original_max_position_embeddings;
}

void read_yarn(const ConfigReader& config, const ConfigReader& section, RopeSettings& rope) {
  rope.factor = stretch(config, section, rope);
  rope.attention_factor = read_attention_factor(section, rope.factor);
  rope.mscale_all_dim = section.find_positive("mscale_all_dim");
  rope.beta_fast = section.positive_or("beta_fast", rope.beta_fast);
  rope.beta_slow = section.positive_or("beta_slow", rope.beta_slow);
  rope.truncate = section.flag_or("truncate", rope.truncate);
}

void read_longrope(const ConfigReader& config, const ConfigReader& section, RopeSettings& rope) {
  const auto read_factors = [&](const char* key) {
    auto factors = section.find_positives(key);
    if (!factors) section.fail(key, "a list of finite numbers above 0");
    return *factors;
  };
  rope.short_factors = read_factors("short_factor");
  rope.long_factors = read_factors("long_factor");
  if (rope.short_factors.size() != rope.long_factors.size()) {
    section.fail("long_factor", "as long as short_factor");
  }
  rope.factor = stretch(config, section, rope);
  const double context = rope.original_max_position_embeddings;
  const double growth = rope.factor <= 1 ? 0.0 : std::log(rope.factor) / std::log(context);
  rope.attention_factor = section.positive_or("attention_factor", std::sqrt(1 + growth));
}

}  // namespace

double yarn_mscale(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

RopeSettings read_rope_section(const ConfigReader& config, const ConfigReader& section,
                               const RopeDefaults& defaults) {
  RopeSettings rope;
  rope.partial_rotary_factor = read_rotary_fraction(config, section, defaults);
  rope.theta = section.positive_or("rope_theta", defaults.theta);
  const char* type_key = section.has("rope_type") ? "rope_type" : "type";
  rope.type = section.text_or(type_key, "default");
  if (rope.type == "su") rope.type = "longrope";  // its first name
  const bool needs_context =
      rope.type == "llama3" || rope.type == "yarn" || rope.type == "longrope";
  if (needs_context) {
    rope.original_max_position_embeddings = read_original_context(config, section, defaults);
  }
  if (rope.type == "linear") {
    rope.factor = section.positive("factor");
  } else if (rope.type == "dynamic") {
    rope.factor = section.positive("factor");
    rope.original_max_position_embeddings = config.positive("max_position_embeddings");
  } else if (rope.type == "llama3") {
    read_llama3(section, rope);
  } else if (rope.type == "yarn") {
    read_yarn(config, section, rope);
  } else if (rope.type == "longrope") {
    read_longrope(config, section, rope);
  } else if (rope.type != "default") {
    section.unsupported(type_key, "supported: default, linear, dynamic, llama3, yarn, longrope");
  }
  return rope;
}

RopeSettings read_rope(const ConfigReader& config, const RopeDefaults& defaults) {
  RopeDefaults own = defaults;
  own.theta = config.positive_or("rope_theta", defaults.theta);
  if (const auto section = rope_section(config)) return read_rope_section(config, *section, own);
  return {.theta = own.theta,
          .partial_rotary_factor = read_rotary_fraction(config, config, defaults)};
}

}  // namespace lathe::frontends
