#include "frontends/huggingface/compressed_tensors.h"

#include <array>

#include "base/error.h"
#include "frontends/huggingface/cache_scales.h"
#include "frontends/huggingface/compressed_linear.h"
#include "frontends/huggingface/compressed_schemes.h"
#include "frontends/problem_list.h"

namespace lathe::frontends {
namespace {

constexpr const char* kScaleSuffix = ".weight_scale";

class CompressedReader {
 public:
  CompressedReader(const ConfigReader& section, TensorStore& store, at::ScalarType dtype)
      : section_(section), store_(store), dtype_(dtype), schemes_(section) {}

  QuantizedSource read() {
    QuantizedSource source{.method = "compressed-tensors",
                           .producer = producer(),
                           .quant_algo = schemes_.format(),
                           .kv_cache_quant_algo = cache_algorithm(),
                           .exclude_modules = schemes_.ignored()};
    source.caches = read_cache_scales(store_, problems_);
    if (source.kv_cache_quant_algo.empty() && !source.caches.empty()) {
      problems_.push_back(
          fmt::format("{} has a scale of the KV cache, but there is no "
                      "kv_cache_scheme",
                      source.caches.front().path));
    }
    for (const std::string& path : modules_with_scales()) read_module(path, source);
    if (problems_.empty()) find_strays();
    if (problems_.empty()) return source;
    throw_data("{}: the tensors do not fit quant_method \"compressed-tensors\":{}",
               section_.source_name(), problem_list(problems_));
  }

 private:
  std::string producer() const {
    if (const auto named = section_.find_object("producer"))
      return named->text_or("name", "") + " " + named->text_or("version", "");
    const std::string version = section_.text_or("version", "");
    return version.empty() ? version : "compressed-tensors " + version;
  }

  /// A cache with one scale a tensor of FP8 is all that engines read.
  std::string cache_algorithm() const {
    const auto scheme = section_.find_object("kv_cache_scheme");
    if (!scheme) return "";
    const bool fp8 = scheme->text_or("type", "int") == "float" &&
                     scheme->size_or("num_bits", 8) == 8 && scheme->flag_or("symmetric", true) &&
                     scheme->text_or("strategy", "tensor") == "tensor" &&
                     !scheme->flag_or("dynamic", false);
    if (!fp8) section_.unsupported("kv_cache_scheme", "supported: 8-bit float, one scale a tensor");
    return "FP8";
  }

  std::vector<std::string> modules_with_scales() const {
    std::vector<std::string> paths;
    for (const StoredTensor* tensor : store_.tensors()) {
      if (!tensor->name.ends_with(kScaleSuffix)) continue;
      paths.push_back(
          tensor->name.substr(0, tensor->name.size() - std::string_view(kScaleSuffix).size()));
    }
    return paths;
  }

  void read_module(const std::string& path, QuantizedSource& source) {
    if (schemes_.ignores(path)) {
      problems_.push_back(fmt::format("{} is in \"ignore\", but has a weight_scale", path));
      return;
    }
    const CompressedScheme* scheme = schemes_.find(path);
    if (scheme == nullptr) {
      problems_.push_back(fmt::format("{} has a weight_scale, but no target names it", path));
      return;
    }
    auto linear = decode_compressed(path, *scheme, dtype_, store_, problems_);
    if (linear) source.linears.push_back(std::move(*linear));
  }

  /// Tensors that only quantization writes and nobody has taken.
  void find_strays() {
    constexpr std::array<std::string_view, 7> kSuffixes = {
        ".weight_packed",      ".weight_global_scale", ".weight_zero_point", ".weight_g_idx",
        ".input_global_scale", ".weight_shape",        ".input_scale"};
    for (const StoredTensor* tensor : store_.tensors()) {
      for (const std::string_view suffix : kSuffixes) {
        if (tensor->name.ends_with(suffix)) add_problem(*tensor, "belongs to no quantized weight");
      }
      if (tensor->name.ends_with(".weight") && !is_plain_float(tensor->dtype))
        add_problem(*tensor, "is packed, but its weight_scale is missing");
    }
  }

  void add_problem(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  const ConfigReader& section_;
  TensorStore& store_;
  at::ScalarType dtype_;
  CompressedSchemes schemes_;
  std::vector<std::string> problems_;
};

}  // namespace

QuantizedSource read_compressed_tensors(const ConfigReader& section, TensorStore& store,
                                        at::ScalarType dtype) {
  return CompressedReader(section, store, dtype).read();
}

}  // namespace lathe::frontends
