#include "api/evaluation_stream.h"

#include "api/token_batches.h"
#include "api/token_statistics.h"
#include "base/error.h"

namespace lathe::api {
namespace {

/// Small, since the logits of a batch are in memory at once.
constexpr int64_t kEvaluationBatchTokens = 512;

Model::Impl& runnable(Model::Impl& model) {
  model.require_graph("evaluating a model");
  return model;
}

at::Tensor logits_of(const ops::NamedTensors& outputs, const std::string& path) {
  const auto found = outputs.find("logits");
  if (found == outputs.end())
    throw_user("{}: the model gives no logits, so it has no perplexity", path);
  return found->second;
}

}  // namespace

EvaluationStream::EvaluationStream(Model::Impl& model, const TokenBlocks& data)
    : model_(runnable(model)),
      tokens_(data.samples * data.seq_len),
      stream_(model, token_batches(data, kEvaluationBatchTokens)) {
  if (data.seq_len < 2)
    throw_user("{}: blocks of {} tokens predict nothing", data.source, data.seq_len);
  for (const ops::NamedTensors& batch : token_batches(data, kEvaluationBatchTokens)) {
    ids_.push_back(batch.at("input_ids"));
  }
}

int64_t EvaluationStream::work() const { return tokens_ * static_cast<int64_t>(stage_count()); }

void EvaluationStream::run_stage(size_t index, Progress& progress) {
  const auto folded = stream_.fold_stage(index);
  size_t batch = 0;
  stream_.run_stage(index, [&] { progress.advance(ids_[batch++].numel()); });
  stream_.release_stage(index);
}

Evaluation EvaluationStream::finish(EvaluationStream* reference, Progress& progress) {
  const size_t last = stage_count() - 1;
  const auto folded = stream_.fold_stage(last);
  const auto folded_reference =
      reference ? reference->stream_.fold_stage(reference->stage_count() - 1) : nullptr;
  TokenStatistics statistics;
  for (size_t batch = 0; batch < stream_.batch_count(); ++batch) {
    const at::Tensor logits = logits_of(stream_.run_last(batch), model_.path);
    at::Tensor other;
    if (reference != nullptr)
      other = logits_of(reference->stream_.run_last(batch), reference->model_.path);
    statistics.add(logits, ids_[batch], other);
    progress.advance(ids_[batch].numel() * (reference ? 2 : 1));
  }
  stream_.release_stage(last);
  if (reference != nullptr) reference->stream_.release_stage(reference->stage_count() - 1);
  return statistics.result();
}

}  // namespace lathe::api
