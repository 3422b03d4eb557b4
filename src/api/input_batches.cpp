#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/model_inputs.h"
#include "api/prepare.h"
#include "api/tensor_bridge.h"
#include "api/token_batches.h"
#include "base/error.h"
#include "ir/scalar_types.h"
#include "lathe/data.h"

namespace lathe {
namespace {

using api::ModelInput;

constexpr int64_t kRowsAtOnce = 16;  // at most, of a model that takes any number

std::string shape_text(const ModelInput& input) {
  std::vector<std::string> sizes;
  for (const auto& size : input.sizes) sizes.push_back(size ? std::to_string(*size) : "any");
  return fmt::format("{} [{}]", dtype_name(ir::to_dtype(input.dtype)), fmt::join(sizes, ", "));
}

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", dtype_name(ir::to_dtype(tensor.scalar_type())),
                     fmt::join(tensor.sizes(), ", "));
}

/// An input's samples, and how they are cut.
struct Samples {
  const ModelInput* input;
  at::Tensor values;
  int64_t rows = 0;       // of a batch; 0: any number
  bool is_whole = false;  // the values are one batch, of a size that is fixed

  int64_t samples() const { return values.size(0); }
};

/// Cuts a file's tensors into batches.
class BatchCutter {
 public:
  BatchCutter(std::string path, const Model::Impl& model, int64_t most, int64_t seq_len)
      : path_(std::move(path)),
        kind_(model.program != nullptr ? "program" : "model"),
        inputs_(api::model_inputs(model)),
        most_(most),
        seq_len_(seq_len) {}

  const std::vector<ModelInput>& inputs() const { return inputs_; }

  std::vector<NamedTensors> cut(const NamedTensors& tensors, std::vector<std::string>* warnings) {
    for (const ModelInput& input : inputs_) take(input, tensors);
    if (problems_.empty()) agree();
    api::refuse_problems(problems_, ErrorKind::kData);
    if (warnings != nullptr) warn_of_others(tensors, *warnings);
    std::vector<NamedTensors> batches;
    for (int64_t batch = 0; batch < batches_; ++batch) batches.push_back(batch_at(batch));
    if (warnings != nullptr && rest_ > 0) {
      warnings->push_back(fmt::format("{}: the last {} samples are left out: the {} takes {}",
                                      path_, rest_, kind_, rows_));
    }
    return batches;
  }

 private:
  void take(const ModelInput& input, const NamedTensors& tensors) {
    const auto found = tensors.find(input.name);
    if (found == tensors.end()) {
      if (!input.required) return;
      problems_.push_back(
          fmt::format("{}: there is no tensor \"{}\"; the {} takes {}; the file has {}", path_,
                      input.name, kind_, shape_text(input), names_of(tensors)));
      return;
    }
    at::Tensor values = api::to_torch(found->second);
    if (!fits(input, values)) {
      const bool cuts = !input.sizes.empty() && input.sizes[0];
      problems_.push_back(fmt::format("{}: \"{}\" is {}, the {} takes {}{}", path_, input.name,
                                      shape_text(values), kind_, shape_text(input),
                                      cuts ? ", or several along dimension 0" : ""));
      return;
    }
    values = values.to(input.dtype);
    if (!cut_length(input, values) || !check_values(input, values)) return;
    Samples samples{&input, std::move(values)};
    if (!input.sizes.empty() && input.sizes[0]) samples.rows = *input.sizes[0];
    samples.is_whole = input.sizes.empty() || (samples.rows > 0 && values.size(0) == samples.rows);
    samples_.push_back(std::move(samples));
  }

  /// The first tokens of each row, if fewer are asked for; a problem if they are too few or too
  /// many.
  bool cut_length(const ModelInput& input, at::Tensor& values) {
    const bool is_sequence = values.dim() == 2 && input.sizes.size() == 2 && !input.sizes[1];
    if (!is_sequence) return true;
    const int64_t length = values.size(1);
    if (seq_len_ > length) {
      problems_.push_back(fmt::format("{}: \"{}\" [{}, {}] is shorter than --seq-len {}", path_,
                                      input.name, values.size(0), length, seq_len_));
      return false;
    }
    if (seq_len_ > 0) values = values.narrow(1, 0, seq_len_);
    if (!input.longest || values.size(1) <= *input.longest) return true;
    problems_.push_back(
        fmt::format("{}: \"{}\" has {} tokens a sample, the model takes {}: give "
                    "--seq-len {}",
                    path_, input.name, values.size(1), *input.longest, *input.longest));
    return false;
  }

  bool check_values(const ModelInput& input, const at::Tensor& values) {
    if (at::isFloatingType(values.scalar_type())) {
      if (values.isfinite().all().item<bool>()) return true;
      problems_.push_back(
          fmt::format("{}: \"{}\" holds NaN or infinite numbers", path_, input.name));
      return false;
    }
    if (!input.limit || values.scalar_type() == at::kBool) return true;
    const int64_t smallest = values.min().item<int64_t>(), largest = values.max().item<int64_t>();
    if (smallest >= 0 && largest < *input.limit) return true;
    problems_.push_back(fmt::format("{}: \"{}\" holds {}, the model takes numbers from 0 to {}",
                                    path_, input.name, smallest < 0 ? smallest : largest,
                                    *input.limit - 1));
    return false;
  }

  static std::string names_of(const NamedTensors& tensors) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) names.push_back(name);
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  /// Samples at once of a model that takes any number: about as many tokens as of a text.
  int64_t rows_at_once() const {
    if (kind_ == "program") return kRowsAtOnce;
    int64_t tokens = 1;
    for (const Samples& samples : samples_)
      tokens = std::max(tokens, api::tokens_of_sample(samples.values));
    return std::max<int64_t>(1, api::kBatchTokens / tokens);
  }

  static bool fits(const ModelInput& input, const at::Tensor& values) {
    const bool same_kind =
        at::isFloatingType(values.scalar_type()) == at::isFloatingType(input.dtype) &&
        (values.scalar_type() == at::kBool) == (input.dtype == at::kBool);
    if (!same_kind || values.dim() != static_cast<int64_t>(input.sizes.size())) return false;
    for (size_t i = 0; i < input.sizes.size(); ++i) {
      const int64_t size = values.size(static_cast<int64_t>(i));
      const bool is_enough = i == 0 ? size >= input.sizes[0].value_or(1) : false;
      const bool is_equal = !input.sizes[i] || size == *input.sizes[i];
      if (i == 0 ? !is_enough : !is_equal) return false;
      if (size == 0) return false;
    }
    return true;
  }

  /// How many batches there are: the same for all inputs that hold several.
  void agree() {
    for (const Samples& samples : samples_) {
      if (samples.is_whole) continue;
      if (leader_ == nullptr) leader_ = &samples;
      if (samples.samples() == leader_->samples() && samples.rows == leader_->rows) continue;
      problems_.push_back(
          fmt::format("{}: \"{}\" holds {} samples for batches of {}, \"{}\" {} for batches of {}",
                      path_, leader_->input->name, leader_->samples(), rows_text(*leader_),
                      samples.input->name, samples.samples(), rows_text(samples)));
    }
    if (leader_ == nullptr || !problems_.empty()) return;
    const int64_t found = leader_->samples();
    const int64_t used = most_ > 0 ? std::min(most_, found) : found;
    const bool any = leader_->rows == 0;
    rows_ = any ? rows_at_once() : leader_->rows;
    batches_ = any ? (used + rows_ - 1) / rows_ : std::max<int64_t>(1, used / rows_);
    last_ = any ? used : batches_ * rows_;
    rest_ = used == found && !any ? found - last_ : 0;
  }

  static std::string rows_text(const Samples& samples) {
    return samples.rows == 0 ? "any size" : std::to_string(samples.rows);
  }

  NamedTensors batch_at(int64_t batch) const {
    NamedTensors result;
    for (const Samples& samples : samples_) {
      const at::Tensor values =
          samples.is_whole
              ? samples.values
              : samples.values.slice(0, batch * rows_, std::min((batch + 1) * rows_, last_));
      result[samples.input->name] = api::from_torch(values.contiguous());
    }
    return result;
  }

  void warn_of_others(const NamedTensors& tensors, std::vector<std::string>& warnings) const {
    for (const auto& [name, tensor] : tensors) {
      const bool is_known =
          std::any_of(inputs_.begin(), inputs_.end(),
                      [&](const ModelInput& input) { return input.name == name; });
      if (!is_known)
        warnings.push_back(fmt::format("{}: the {} takes no \"{}\"", path_, kind_, name));
    }
  }

  std::string path_;
  std::string_view kind_;  // "program" or "model"
  std::vector<ModelInput> inputs_;
  int64_t most_;
  int64_t seq_len_;
  std::vector<Samples> samples_;
  std::vector<std::string> problems_;
  const Samples* leader_ = nullptr;  // the first that holds several batches
  int64_t rows_ = 0;                 // of a batch
  int64_t batches_ = 1;
  int64_t last_ = 0;  // samples that are used
  int64_t rest_ = 0;  // that are not, although nobody said so
};

}  // namespace

std::vector<NamedTensors> load_batches(const std::string& path, const Model& model, int64_t samples,
                                       std::vector<std::string>* warnings, int64_t seq_len) {
  const Model::Impl& impl = model.impl();
  impl.require_graph("calibrating it");
  NamedTensors tensors = load_tensors(path);
  BatchCutter cutter(path, impl, samples, seq_len);
  const auto is_required = [](const ModelInput& input) { return input.required; };
  const auto first = std::ranges::find_if(cutter.inputs(), is_required);
  const bool single = std::ranges::count_if(cutter.inputs(), is_required) == 1;
  if (path.ends_with(".npy") && single && tensors.size() == 1) {
    NamedTensors renamed;
    renamed.emplace(first->name, tensors.begin()->second);
    tensors = std::move(renamed);
  }
  return cutter.cut(tensors, warnings);
}

}  // namespace lathe
