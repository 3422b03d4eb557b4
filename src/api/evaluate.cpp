#include "lathe/evaluate.h"

#include <ATen/core/grad_mode.h>

#include <chrono>

#include "api/evaluation_stream.h"
#include "base/error.h"
#include "base/progress.h"

namespace lathe {

Evaluation evaluate(Model& model, const TokenBlocks& data, Model* reference) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_gradients;
  if (reference != nullptr && reference->vocab_size() != model.vocab_size()) {
    throw_user("the reference {} has a vocabulary of {}, {} one of {}", reference->path(),
               reference->vocab_size(), model.path(), model.vocab_size());
  }
  api::EvaluationStream stream(model.impl(), data);
  std::optional<api::EvaluationStream> other;
  if (reference != nullptr) other.emplace(reference->impl(), data);
  Progress progress("evaluating", stream.work() + (other ? other->work() : 0),
                    ProgressUnit::kTokens);
  for (size_t stage = 0; other && stage + 1 < other->stage_count(); ++stage)
    other->run_stage(stage, progress);
  for (size_t stage = 0; stage + 1 < stream.stage_count(); ++stage)
    stream.run_stage(stage, progress);
  Evaluation result = stream.finish(other ? &*other : nullptr, progress);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace lathe
