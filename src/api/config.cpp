#include <algorithm>

#include "api/config_impl.h"
#include "base/error.h"
#include "base/output_file.h"
#include "io/yaml.h"
#include "quantization/config/presets.h"

namespace lathe {

QuantizeConfig::QuantizeConfig(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

QuantizeConfig QuantizeConfig::from_preset(std::string_view name) {
  auto impl = std::make_shared<Impl>();
  impl->name = std::string(name);
  impl->config = quantization::load_preset(name, quantization::PresetKind::kModel, io::parse_yaml);
  return QuantizeConfig(std::move(impl));
}

QuantizeConfig QuantizeConfig::from_text(std::string_view text, std::string source_name) {
  auto impl = std::make_shared<Impl>();
  impl->config = quantization::parse_quant_config(io::parse_yaml(text, source_name), source_name,
                                                  io::parse_yaml);
  impl->name = std::move(source_name);
  return QuantizeConfig(std::move(impl));
}

QuantizeConfig QuantizeConfig::from_file(const std::string& path) {
  return from_text(read_file(path), path);
}

QuantizeConfig& QuantizeConfig::add_kv_cache(std::string_view format) {
  const auto cache =
      quantization::load_preset(format, quantization::PresetKind::kKvCache, io::parse_yaml);
  impl_ = std::make_shared<Impl>(Impl{impl_->name + "+kv_" + std::string(format),
                                      quantization::with_kv_cache(impl_->config, cache)});
  return *this;
}

std::string QuantizeConfig::name() const { return impl_->name; }
std::string QuantizeConfig::algorithm() const { return impl_->config.algorithm.method; }

std::vector<PresetInfo> presets() {
  std::vector<PresetInfo> result;
  for (const quantization::PresetInfo& preset : quantization::list_presets()) {
    if (preset.kind != quantization::PresetKind::kModel) continue;
    result.push_back(
        {std::string(preset.name), std::string(preset.friendly), std::string(preset.summary)});
  }
  return result;
}

}  // namespace lathe
