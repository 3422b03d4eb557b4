#include "api/calibration_data.h"

#include <algorithm>
#include <filesystem>

#include "api/model_inputs.h"
#include "api/tensor_bridge.h"
#include "api/token_batches.h"
#include "lathe/data.h"

namespace lathe::api {
namespace {

bool holds_tensors(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  return extension == ".safetensors" || extension == ".npz" || extension == ".npy";
}

/// Whether a file of tensors has nothing for the model but ids of tokens.
bool holds_ids_alone(const std::string& path, const NamedTensors& tensors,
                     const Model::Impl& model) {
  if (path.ends_with(".npy")) return true;
  const std::vector<ModelInput> inputs = model_inputs(model);
  const bool has_more = std::ranges::any_of(tensors, [&](const auto& entry) {
    return entry.first != "input_ids" &&
           std::ranges::find(inputs, entry.first, &ModelInput::name) != inputs.end();
  });
  return !has_more && tensors.contains("input_ids");
}

void warn_of_others(const std::string& path, const NamedTensors& tensors,
                    std::vector<std::string>& warnings) {
  for (const auto& [name, tensor] : tensors) {
    if (name != "input_ids" && !path.ends_with(".npy"))
      warnings.push_back(fmt::format("{}: the model takes no \"{}\"", path, name));
  }
}

int64_t sample_count(const ops::NamedTensors& batch) {
  const at::Tensor& first = batch.begin()->second;
  return first.dim() == 0 ? 1 : first.size(0);
}

uint64_t hash_of(const std::vector<ops::NamedTensors>& batches) {
  uint64_t hash = 14695981039346656037ull;
  for (const ops::NamedTensors& batch : batches) {
    for (const auto& [name, tensor] : batch) {
      const at::Tensor dense = tensor.contiguous();
      const auto* bytes = static_cast<const uint8_t*>(dense.const_data_ptr());
      for (size_t i = 0; i < dense.nbytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211ull;
    }
  }
  return hash;
}

CalibrationData from_tokens(const QuantizeJob& job, const Model& model) {
  const TokenBlocks blocks =
      load_tokens(job.calibration, model, {.samples = job.samples, .seq_len = job.seq_len});
  return {.batches = token_batches(blocks, kBatchTokens),
          .samples = blocks.samples,
          .tokens = static_cast<int64_t>(blocks.ids.size()),
          .is_text = true};
}

CalibrationData from_tensors(const QuantizeJob& job, const Model& model,
                             std::vector<std::string>& warnings) {
  CalibrationData data;
  for (const NamedTensors& batch :
       load_batches(job.calibration, model, job.samples, &warnings, job.seq_len)) {
    data.batches.push_back(to_torch(batch));
    int64_t longest = 1;
    for (const auto& [name, tensor] : data.batches.back())
      longest = std::max(longest, tokens_of_sample(tensor));
    data.samples += sample_count(data.batches.back());
    data.tokens += sample_count(data.batches.back()) * longest;
  }
  return data;
}

}  // namespace

CalibrationData load_calibration(const QuantizeJob& job, const Model& model,
                                 std::vector<std::string>& warnings) {
  const std::string& path = job.calibration;
  bool named_inputs = holds_tensors(path);
  if (named_inputs && takes_text(model.impl())) {
    const NamedTensors tensors = load_tensors(path);
    named_inputs = !holds_ids_alone(path, tensors, model.impl());
    if (!named_inputs) warn_of_others(path, tensors, warnings);
  }
  CalibrationData data =
      named_inputs ? from_tensors(job, model, warnings) : from_tokens(job, model);
  data.hash = hash_of(data.batches);
  return data;
}

}  // namespace lathe::api
