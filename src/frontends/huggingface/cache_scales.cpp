#include "frontends/huggingface/cache_scales.h"

#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/weights.h"

namespace lathe::frontends {
namespace {

constexpr const char* kCacheReason = "scale of the KV cache, part of the quantization";

class CacheReader {
 public:
  CacheReader(TensorStore& store, std::vector<std::string>& problems)
      : store_(store), problems_(problems) {}

  std::vector<QuantizedCache> read() {
    std::vector<QuantizedCache> caches;
    for (const StoredTensor* tensor : store_.tensors()) {
      const bool is_bias = tensor->name.ends_with(".k_bias") || tensor->name.ends_with(".v_bias");
      if (is_bias && tensor->shape.size() == 4) {
        read_bias(*tensor, caches);
        continue;
      }
      const bool is_key = tensor->name.ends_with(".k_scale");
      if (!is_key && !tensor->name.ends_with(".v_scale")) continue;
      const std::string name = tensor->name;
      const std::optional<float> scale = read_scalar(*tensor, problems_);
      QuantizedCache& cache = cache_at(caches, attention_path(name, is_key));
      std::optional<float>& slot = is_key ? cache.k_scale : cache.v_scale;
      if (slot) problems_.push_back(fmt::format("{} is there under two names", name));
      slot = scale;
      store_.drop(name, kCacheReason);
    }
    return caches;
  }

 private:
  void read_bias(const StoredTensor& tensor, std::vector<QuantizedCache>& caches) {
    const std::string name = tensor.name;
    const bool is_key = name.ends_with(".k_bias");
    if (!is_plain_float(tensor.dtype)) {
      problems_.push_back(fmt::format("{}: {} is no floating-point tensor", tensor.file, name));
      return;
    }
    QuantizedCache& cache = cache_at(caches, attention_path(name, is_key));
    (is_key ? cache.k_bias : cache.v_bias) = make_parameter(tensor, tensor.dtype);
    store_.drop(name, "bias of the KV cache, part of the quantization");
  }

  static std::string attention_path(const std::string& name, bool is_key) {
    std::string path = name.substr(0, name.rfind('.'));
    const std::string projection = is_key ? ".k_proj" : ".v_proj";
    if (path.ends_with(projection)) path.resize(path.size() - projection.size());
    return path;
  }

  QuantizedCache& cache_at(std::vector<QuantizedCache>& caches, const std::string& path) {
    const auto [found, added] = index_.emplace(path, caches.size());
    if (added) caches.push_back({path, {}, {}});
    return caches[found->second];
  }

  TensorStore& store_;
  std::vector<std::string>& problems_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace

std::vector<QuantizedCache> read_cache_scales(TensorStore& store,
                                              std::vector<std::string>& problems) {
  return CacheReader(store, problems).read();
}

}  // namespace lathe::frontends
