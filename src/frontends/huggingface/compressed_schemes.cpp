#include "frontends/huggingface/compressed_schemes.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lathe::frontends {
namespace {

using formats::BlockShape;
using formats::Format;
using formats::Packing;
using formats::ScaleKind;

/// A format of the library, and what is special about its weights.
struct Container {
  std::string_view name;
  bool packed;
  Packing packing;
  at::ScalarType dtype;
  bool integer;
  int bits;  // 0: any that the packing takes
  ScaleKind scale;
};

constexpr std::array kContainers = {
    Container{"pack-quantized", true, Packing::kInt32Offset, at::kInt, true, 0,
              ScaleKind::kFloat32},
    Container{"int-quantized", false, Packing::kBytes, at::kChar, true, 0, ScaleKind::kFloat32},
    Container{"float-quantized", false, Packing::kBytes, at::kFloat8_e4m3fn, false, 8,
              ScaleKind::kFloat32},
    Container{"naive-quantized", false, Packing::kBytes, at::kChar, true, 0, ScaleKind::kFloat32},
    Container{"naive-quantized", false, Packing::kBytes, at::kFloat8_e4m3fn, false, 8,
              ScaleKind::kFloat32},
    Container{"nvfp4-pack-quantized", true, Packing::kNibbles, at::kByte, false, 4,
              ScaleKind::kE4M3TwoLevel},
    Container{"mxfp4-pack-quantized", true, Packing::kNibbles, at::kByte, false, 4,
              ScaleKind::kE8M0},
    Container{"mxfp6-pack-quantized", true, Packing::kSixBits, at::kByte, false, 6,
              ScaleKind::kE8M0},
    Container{"mxfp8-quantized", false, Packing::kBytes, at::kFloat8_e4m3fn, false, 8,
              ScaleKind::kE8M0},
};

std::string supported_formats() {
  std::string names;
  for (const Container& container : kContainers) {
    if (names.find(container.name) != names.npos) continue;
    names += (names.empty() ? "supported: " : ", ") + std::string(container.name);
  }
  return names;
}

bool is_integer(const ConfigReader& arguments) {
  const std::string type = arguments.text_or("type", "int");
  if (type == "int") return true;
  if (type != "float") arguments.unsupported("type", "supported: int, float");
  return false;
}

/// What shares a scale. Without a strategy the group_size says it.
BlockShape block_of(const ConfigReader& arguments) {
  const auto& json = arguments.json();
  const bool whole = json.contains("group_size") && json["group_size"] == -1;
  const auto group = whole ? std::nullopt : arguments.find_size("group_size");
  const std::string strategy =
      arguments.text_or("strategy", group ? "group" : (whole ? "channel" : "tensor"));
  if (strategy == "tensor") return formats::kPerTensor;
  if (strategy == "channel" || strategy == "token") return formats::kPerChannel;
  if (strategy == "group" || strategy == "tensor_group") {
    if (!group) arguments.fail("group_size", "a number above 0");
    return {1, *group};
  }
  if (strategy != "block") {
    arguments.unsupported("strategy",
                          "supported: tensor, channel, token, group, tensor_group, block");
  }
  const auto structure = arguments.find_counts("block_structure");
  if (!structure || structure->size() != 2 || (*structure)[0] == 0 || (*structure)[1] == 0)
    arguments.fail("block_structure", "two numbers above 0");
  return {(*structure)[0], (*structure)[1]};
}

Format format_of(const ConfigReader& arguments, ScaleKind scale) {
  const int64_t bits = arguments.size_or("num_bits", 8);
  Format format{.block = block_of(arguments), .scale = scale};
  if (is_integer(arguments)) {
    if (bits < 2 || bits > 8) arguments.unsupported("num_bits", "supported integers: 2 to 8 bits");
    format.element = formats::int_element(static_cast<int>(bits));
    return format;
  }
  switch (bits) {
    case 4:
      format.element = formats::kE2M1;
      return format;
    case 6:
      format.element = formats::kE2M3;
      return format;
    case 8:
      format.element = formats::kE4M3;
      return format;
    default:
      arguments.unsupported("num_bits", "supported floats: 4, 6 and 8 bits");
  }
}

/// true, false or "local".
bool is_dynamic(const ConfigReader& arguments) {
  const auto& json = arguments.json();
  if (!json.contains("dynamic") || json["dynamic"].is_null()) return false;
  if (json["dynamic"].is_boolean()) return json["dynamic"].get<bool>();
  if (json["dynamic"] != "local") arguments.fail("dynamic", "true, false or \"local\"");
  return false;
}

ScaleKind input_scale_kind(const ConfigReader& arguments) {
  if (arguments.text_or("strategy", "") == "tensor_group") return ScaleKind::kE4M3TwoLevel;
  const std::string stored = arguments.text_or("scale_dtype", "");
  const bool narrow = !is_integer(arguments) && arguments.size_or("num_bits", 8) < 8;
  return stored.ends_with("uint8") || narrow ? ScaleKind::kE8M0 : ScaleKind::kFloat32;
}

CompressedInput input_of(const ConfigReader& arguments) {
  if (!arguments.flag_or("symmetric", true))
    arguments.unsupported("symmetric", "inputs with zero points are not supported");
  CompressedInput input{.format = format_of(arguments, input_scale_kind(arguments))};
  input.has_scale = !is_dynamic(arguments);
  const bool one_scale =
      input.format.block == formats::kPerTensor || input.format.scale == ScaleKind::kE4M3TwoLevel;
  if (input.has_scale && !one_scale)
    arguments.unsupported("dynamic", "static inputs need the strategy tensor or tensor_group");
  return input;
}

const Container& container_of(const ConfigReader& group, const std::string& format, bool integer) {
  for (const Container& container : kContainers) {
    if (container.name == format && container.integer == integer) return container;
  }
  const bool known = std::ranges::any_of(
      kContainers, [&](const Container& container) { return container.name == format; });
  if (known) {
    throw_user("{}: weights of type {} in the format {} are not supported", group.source_name(),
               integer ? "int" : "float", format);
  }
  throw_user("{}: the format \"{}\" is not supported ({})", group.source_name(), format,
             supported_formats());
}

CompressedScheme scheme_of(const ConfigReader& group, const ConfigReader& weights,
                           const std::string& format) {
  const Container& container = container_of(group, format, is_integer(weights));
  CompressedScheme scheme{.format = format,
                          .weight = format_of(weights, container.scale),
                          .symmetric = weights.flag_or("symmetric", true),
                          .packed = container.packed,
                          .packing = container.packing,
                          .weight_dtype = container.dtype};
  if (container.bits != 0 && scheme.weight.element.bits != container.bits) {
    weights.unsupported("num_bits", fmt::format("{} has {} bits", container.name, container.bits));
  }
  if (!scheme.symmetric && !scheme.is_integer())
    weights.unsupported("symmetric", "floats have no zero points");
  if (is_dynamic(weights)) weights.unsupported("dynamic", "weights have scales on file");
  if (const auto inputs = group.find_object("input_activations")) scheme.input = input_of(*inputs);
  return scheme;
}

/// The parts of the section that Lathe does not read must say nothing.
void refuse_extensions(const ConfigReader& section) {
  const std::string status = section.text_or("quantization_status", "compressed");
  if (status != "compressed")
    section.unsupported("quantization_status", "supported: compressed weights");
  if (const auto sparsity = section.find_object("sparsity_config")) {
    if (sparsity->text_or("format", "dense") != "dense")
      sparsity->unsupported("format", "2:4 and other sparse formats are not read");
  }
  if (const auto transforms = section.find_object("transform_config")) {
    const auto groups = transforms->find_object("config_groups");
    if (groups && !groups->json().empty())
      transforms->unsupported("config_groups", "transforms of weights and inputs are not read");
  }
}

}  // namespace

CompressedSchemes::CompressedSchemes(const ConfigReader& section)
    : format_(section.text_or("format", "dense")) {
  refuse_extensions(section);
  if (format_.starts_with("sparse") || format_.starts_with("marlin"))
    section.unsupported("format", "2:4 and other sparse formats are not read");
  if (const auto groups = section.find_object("config_groups")) {
    for (const auto& [name, unused] : groups->json().items()) {
      const auto group = groups->find_object(name);
      if (!group) groups->fail(name, "an object");
      read_group(*group);
    }
  }
  std::ranges::sort(by_expression_, {}, [](const auto& entry) { return entry.first.text(); });
  if (const auto names = section.find_texts("ignore")) ignored_ = *names;
  for (const std::string& name : ignored_)
    ignored_patterns_.emplace_back(name, section.source_name());
}

void CompressedSchemes::read_group(const ConfigReader& group) {
  if (group.find_object("output_activations"))
    group.unsupported("output_activations", "quantized outputs are not supported");
  const auto weights = group.find_object("weights");
  if (!weights) group.unsupported("weights", "groups without quantized weights are not supported");
  schemes_.push_back(scheme_of(group, *weights, group.text_or("format", format_)));
  const auto targets = group.find_texts("targets");
  if (!targets) group.fail("targets", "a list of names");
  for (const std::string& target : *targets) {
    NamePattern pattern(target, group.source_name());
    const size_t scheme = schemes_.size() - 1;
    if (target == "Linear") {
      if (!of_linear_) of_linear_ = scheme;
    } else if (pattern.is_expression()) {
      by_expression_.emplace_back(std::move(pattern), scheme);
    } else {
      by_name_.emplace(target, scheme);
    }
  }
}

const CompressedScheme* CompressedSchemes::find(const std::string& path) const {
  if (const auto named = by_name_.find(path); named != by_name_.end())
    return &schemes_[named->second];
  for (const auto& [pattern, scheme] : by_expression_) {
    if (pattern.matches(path)) return &schemes_[scheme];
  }
  return of_linear_ ? &schemes_[*of_linear_] : nullptr;
}

bool CompressedSchemes::ignores(const std::string& path) const {
  return std::ranges::any_of(ignored_patterns_,
                             [&](const NamePattern& pattern) { return pattern.matches(path); });
}

}  // namespace lathe::frontends
