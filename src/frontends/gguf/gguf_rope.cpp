#include "frontends/gguf/gguf_rope.h"

#include <ATen/TensorOperators.h>

#include <array>
#include <charconv>
#include <string>

#include "base/error.h"
#include "frontends/huggingface/rope.h"
#include "frontends/mapped_tensor.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDivisors = "rope_freqs.weight";

class RopeReader {
 public:
  RopeReader(const io::GgufFile& file, std::string_view architecture)
      : file_(file), architecture_(architecture) {}

  const io::GgufFile& file() const { return file_; }

  double theta() const { return number("rope.freq_base").value_or(10000.0); }

  std::string scaling_type() const {
    const std::string type =
        file_.metadata().find_string(key("rope.scaling.type")).value_or("none");
    if (type != "none") return type;
    return number("rope.scale_linear").value_or(1.0) != 1.0 ? "linear" : type;
  }

  double factor() const {
    if (const auto factor = number("rope.scaling.factor")) return *factor;
    if (const auto factor = number("rope.scale_linear")) return *factor;
    throw_data("{}: {} is missing", file_.path().string(), key("rope.scaling.factor"));
  }

  double original_context() const {
    const auto length = file_.metadata().find_u64(key("rope.scaling.original_context_length"));
    return static_cast<double>(length ? *length : file_.metadata().get_u64(key("context_length")));
  }

  void require_one(std::string_view name) const {
    const auto value = number(name);
    if (value && *value != 1.0) unsupported(name, *value);
  }

  template <typename Value>
  [[noreturn]] void unsupported(std::string_view name, const Value& value) const {
    throw_user("{}: {} is {}, which is not supported", file_.path().string(), key(name), value);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }

  std::optional<double> number(std::string_view name) const {
    const auto value = file_.metadata().find_f64(key(name));
    return value ? std::optional(shortest_float(*value)) : std::nullopt;
  }

  const io::GgufFile& file_;
  std::string_view architecture_;
};

/// The divisors of the frequencies, float32 [head_dim / 2].
at::Tensor read_divisors(const io::GgufFile& file, const io::GgufTensorInfo& info,
                         int64_t head_dim) {
  if (info.type != io::GgmlType::kF32 || info.shape != std::vector<int64_t>{head_dim / 2}) {
    throw_data("{}: {} must be float32 [{}]", file.path().string(), kDivisors, head_dim / 2);
  }
  return map_tensor(file.file(), info.offset, at::kFloat, info.shape);
}

/// llama3 scaling stores only its divisors: finds the settings that give them. All published models
/// have frequency factors 1 and 4.
std::optional<Json> find_llama3(const at::Tensor& divisors, double theta, int64_t head_dim) {
  RopeSettings rope{.type = "llama3", .theta = theta};
  rope.factor = divisors.max().item<double>();
  constexpr double kTolerance = 1e-3;
  for (double context : {8192.0, 2048.0, 4096.0, 16384.0, 32768.0, 65536.0, 131072.0}) {
    rope.original_max_position_embeddings = context;
    const at::Tensor expected = llama3_divisors(rope, head_dim);
    if (!((divisors / expected - 1).abs() < kTolerance).all().item<bool>()) continue;
    return Json{{"factor", shortest_float(rope.factor)},
                {"high_freq_factor", rope.high_freq_factor},
                {"low_freq_factor", rope.low_freq_factor},
                {"original_max_position_embeddings", static_cast<int64_t>(context)},
                {"rope_type", "llama3"}};
  }
  return std::nullopt;
}

Json scaling_from_divisors(const RopeReader& reader, const io::GgufTensorInfo& info,
                           int64_t head_dim) {
  const at::Tensor divisors = read_divisors(reader.file(), info, head_dim);
  if ((divisors == 1).all().item<bool>()) return Json{{"rope_type", "default"}};
  const auto found = find_llama3(divisors, reader.theta(), head_dim);
  if (!found) {
    throw_user("{}: {} is not that of llama3 scaling, which is the only one supported",
               reader.file().path().string(), kDivisors);
  }
  return *found;
}

Json read_scaling(const RopeReader& reader, int64_t head_dim) {
  const std::string type = reader.scaling_type();
  if (const io::GgufTensorInfo* divisors = reader.file().find(kDivisors)) {
    if (type != "none") reader.unsupported("rope.scaling.type", type + " beside rope_freqs.weight");
    return scaling_from_divisors(reader, *divisors, head_dim);
  }
  if (type == "none") return Json{{"rope_type", "default"}};
  if (type == "linear") return Json{{"factor", reader.factor()}, {"rope_type", "linear"}};
  if (type != "yarn") reader.unsupported("rope.scaling.type", type);
  for (const char* name : {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor",
                           "rope.scaling.yarn_ext_factor"}) {
    reader.require_one(name);
  }
  return Json{{"factor", reader.factor()},
              {"original_max_position_embeddings", reader.original_context()},
              {"rope_type", "yarn"}};
}

}  // namespace

double shortest_float(double value) {
  std::array<char, 32> text{};
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value));
  double shortest = 0;
  std::from_chars(text.data(), written.ptr, shortest);
  return shortest;
}

void add_gguf_rope(const io::GgufFile& file, std::string_view architecture, int64_t head_dim,
                   Json& config) {
  const RopeReader reader(file, architecture);
  const Json scaling = read_scaling(reader, head_dim);
  Json parameters = scaling;
  parameters["rope_theta"] = reader.theta();
  config["rope_parameters"] = parameters;
  config["rope_scaling"] = scaling["rope_type"] == "default" ? Json() : scaling;
  config["rope_theta"] = reader.theta();
}

}  // namespace lathe::frontends
