#include "lathe/evaluate.h"

#include <ATen/core/grad_mode.h>

#include <chrono>

#include "api/evaluation_stream.h"
#include "api/model_inputs.h"
#include "base/error.h"
#include "base/progress.h"

namespace lathe {

std::string evaluation_problem(const Model& model) {
  const Model::Impl& impl = model.impl();
  const std::string name = model.architecture();
  const bool predicts = name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel");
  if (!impl.model.has_graph() || impl.program != nullptr || predicts) return "";
  return fmt::format(
      "{}: only a decoder of text, which predicts the next token, has a perplexity; {} takes {}: "
      "compare the outputs of `lathe run` instead",
      impl.path, name, api::required_inputs(impl));
}

Evaluation evaluate(Model& model, const TokenBlocks& data, Model* reference) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_gradients;
  for (const Model* evaluated :
       {static_cast<const Model*>(&model), static_cast<const Model*>(reference)}) {
    const std::string problem = evaluated ? evaluation_problem(*evaluated) : "";
    if (!problem.empty()) throw_user("{}", problem);
  }
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
