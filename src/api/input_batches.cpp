#include <ATen/core/Tensor.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/model_impl.h"
#include "api/prepare.h"
#include "api/tensor_bridge.h"
#include "base/error.h"
#include "ir/scalar_types.h"
#include "lathe/data.h"

namespace lathe {
namespace {

using frontends::ProgramInput;

constexpr int64_t kRowsAtOnce = 16;  // of a program that takes any number

std::string shape_text(const ProgramInput& input) {
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
  const ProgramInput* input;
  at::Tensor values;
  int64_t rows = 0;       // of a batch; 0: any number
  bool is_whole = false;  // the values are one batch, of a size that is fixed

  int64_t samples() const { return values.size(0); }
};

/// Cuts a file's tensors into batches.
class BatchCutter {
 public:
  BatchCutter(std::string path, const std::vector<ProgramInput>& inputs, int64_t most)
      : path_(std::move(path)), inputs_(inputs), most_(most) {}

  std::vector<NamedTensors> cut(const NamedTensors& tensors, std::vector<std::string>* warnings) {
    for (const ProgramInput& input : inputs_) take(input, tensors);
    if (problems_.empty()) agree();
    api::refuse_problems(problems_, ErrorKind::kData);
    if (warnings != nullptr) warn_of_others(tensors, *warnings);
    std::vector<NamedTensors> batches;
    for (int64_t batch = 0; batch < batches_; ++batch) batches.push_back(batch_at(batch));
    if (warnings != nullptr && rest_ > 0) {
      warnings->push_back(fmt::format("{}: the last {} samples are left out: the program takes {}",
                                      path_, rest_, rows_));
    }
    return batches;
  }

 private:
  void take(const ProgramInput& input, const NamedTensors& tensors) {
    const auto found = tensors.find(input.name);
    if (found == tensors.end()) {
      problems_.push_back(fmt::format("{}: there is no tensor \"{}\"; the program takes {}", path_,
                                      input.name, shape_text(input)));
      return;
    }
    const at::Tensor values = api::to_torch(found->second);
    if (!fits(input, values)) {
      problems_.push_back(fmt::format("{}: \"{}\" is {}, the program takes {}{}", path_, input.name,
                                      shape_text(values), shape_text(input),
                                      input.sizes.empty() ? "" : ", or several along dimension 0"));
      return;
    }
    Samples samples{&input, values.to(input.dtype)};
    if (!input.sizes.empty() && input.sizes[0]) samples.rows = *input.sizes[0];
    samples.is_whole = input.sizes.empty() || (samples.rows > 0 && values.size(0) == samples.rows);
    samples_.push_back(std::move(samples));
  }

  static bool fits(const ProgramInput& input, const at::Tensor& values) {
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
    rows_ = any ? kRowsAtOnce : leader_->rows;
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
                      [&](const ProgramInput& input) { return input.name == name; });
      if (!is_known)
        warnings.push_back(fmt::format("{}: the program takes no \"{}\"", path_, name));
    }
  }

  std::string path_;
  const std::vector<ProgramInput>& inputs_;
  int64_t most_;
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
                                       std::vector<std::string>* warnings) {
  const Model::Impl& impl = model.impl();
  if (impl.program == nullptr)
    throw_user("{}: batches of named inputs are for programs of torch.export", model.path());
  NamedTensors tensors = load_tensors(path);
  if (path.ends_with(".npy") && impl.program_inputs.size() == 1 && tensors.size() == 1) {
    NamedTensors renamed;
    renamed.emplace(impl.program_inputs[0].name, tensors.begin()->second);
    tensors = std::move(renamed);
  }
  return BatchCutter(path, impl.program_inputs, samples).cut(tensors, warnings);
}

}  // namespace lathe
