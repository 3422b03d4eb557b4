#include "api/model_stream.h"

#include "api/token_batches.h"

namespace lathe::api {

ModelStream::ModelStream(Model::Impl& model, std::vector<ops::NamedTensors> batches)
    : model_(model), run_(model.interpreter, model.root(), std::move(batches), kActivationBudget) {}

void ModelStream::run_stage(size_t index, const std::function<void()>& after_batch) {
  for (size_t batch = 0; batch < run_.batch_count(); ++batch) {
    run_.run(index, batch);
    after_batch();
  }
}

std::unique_ptr<FoldedWeights> ModelStream::fold_stage(size_t index) {
  if (!model_.quantization || model_.folded) return nullptr;
  return std::make_unique<FoldedWeights>(
      layers_below(model_.quantization->conversion, run_.stages().at(index).modules));
}

ops::NamedTensors ModelStream::run_last(size_t batch) {
  run_.run(run_.stages().size() - 1, batch);
  return run_.take_outputs(batch);
}

void ModelStream::release_stage(size_t index) {
  for (const std::string& path : run_.stages().at(index).modules)
    ir::release_parameters(model_.root().at(path));
}

}  // namespace lathe::api
