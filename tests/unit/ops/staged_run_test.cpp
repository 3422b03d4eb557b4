#include "ops/staged_run.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"
#include "unit/ops/small_model.h"

namespace lathe::ops {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;

std::vector<NamedTensors> batches(uint32_t count) {
  std::vector<NamedTensors> made;
  for (uint32_t seed = 0; seed < count; ++seed) made.push_back(small_batch(seed));
  return made;
}

void run_all(StagedRun& run) {
  for (size_t stage = 0; stage < run.stages().size(); ++stage) {
    for (size_t batch = 0; batch < run.batch_count(); ++batch) run.run(stage, batch);
  }
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& left, const auto& right) {
                      return left.first == right.first && left.second.equal(right.second);
                    });
}

std::vector<std::string> names(const StagedRun& run) {
  std::vector<std::string> found;
  for (const auto& stage : run.stages()) found.push_back(stage.name);
  return found;
}

TEST(StagedRun, StagesAreBlocksAndWhatIsBetween) {
  const ir::ModulePtr model = small_model();
  Interpreter interpreter;
  const StagedRun run(interpreter, *model, batches(1), kNoLimit);
  EXPECT_EQ(names(run), (std::vector<std::string>{"inputs", "model.layers.0", "model.layers.1",
                                                  "model.layers.2", "outputs"}));
  const auto& stages = run.stages();
  EXPECT_EQ(stages[0].path, "");
  EXPECT_EQ(stages[2].path, "model.layers.1");
  EXPECT_EQ(stages[0].modules,
            (std::vector<std::string>{"model.embed_tokens", "model.rotary_emb"}));
  EXPECT_EQ(stages[1].modules, std::vector<std::string>{"model.layers.0"});
  EXPECT_EQ(stages[4].modules, (std::vector<std::string>{"model.norm", "lm_head"}));
  for (size_t i = 0; i + 1 < stages.size(); ++i) EXPECT_EQ(stages[i].end, stages[i + 1].begin);
}

TEST(StagedRun, GivesWhatTheModelGives) {
  const ir::ModulePtr model = small_model();
  for (const bool fuse : {true, false}) {
    for (const size_t budget : {kNoLimit, size_t{0}, size_t{2000}}) {
      Interpreter interpreter;
      interpreter.set_fusion(fuse);
      const std::vector<NamedTensors> inputs = batches(3);
      StagedRun run(interpreter, *model, inputs, budget);
      run_all(run);
      for (size_t batch = 0; batch < 3; ++batch) {
        const NamedTensors outputs = run.take_outputs(batch);
        EXPECT_EQ(outputs.size(), 2u);
        EXPECT_TRUE(same(outputs, run_model(interpreter, *model, inputs[batch])))
            << "batch " << batch << ", budget " << budget;
      }
    }
  }
}

TEST(StagedRun, KeptStagesCanRunAgain) {
  const ir::ModulePtr model = small_model();
  Interpreter interpreter;
  const std::vector<NamedTensors> inputs = batches(2);
  StagedRun run(interpreter, *model, inputs, 0);
  for (size_t stage = 0; stage < run.stages().size(); ++stage) {
    for (const bool keep : {true, true, false}) {
      for (size_t batch = 0; batch < 2; ++batch) run.run(stage, batch, keep);
    }
  }
  EXPECT_TRUE(same(run.take_outputs(1), run_model(interpreter, *model, inputs[1])));
}

/// Between the passes of a stage its weights may change: later stages see the last pass alone.
TEST(StagedRun, AStageSeesTheWeightsOfItsPass) {
  const ir::ModulePtr model = small_model();
  Interpreter interpreter;
  const std::vector<NamedTensors> inputs = batches(1);
  StagedRun run(interpreter, *model, inputs, kNoLimit);
  run.run(0, 0);
  run.run(1, 0, true);
  ir::Parameter& weight = *model->find_parameter("model.layers.0.o_proj.weight");
  weight.set(weight.tensor() * 2);
  for (size_t stage = 1; stage < run.stages().size(); ++stage) run.run(stage, 0);
  EXPECT_TRUE(same(run.take_outputs(0), run_model(interpreter, *model, inputs[0])));
}

TEST(StagedRun, OperatorsBetweenBlocksAreStages) {
  const ir::ModulePtr model = ir::parse_module(R"(module Model {
    graph @1 {
      %x = placeholder "x"
      %a = call_module a(%x)
      %n = call_op aten::neg(%a)
      %b = call_module b(%n)
      %c = call_module c(%b)
      output(%c)
    }
    child a: A block { graph @2 { %x = placeholder "x" %y = call_op aten::exp(%x) output(%y) } }
    child b: A block { graph @2 }
    child c: A block { graph @2 }
  })");
  Interpreter interpreter;
  const at::Tensor x = small_batch(0).at("input_ids").to(at::kFloat) * 0.1;
  StagedRun run(interpreter, *model, {{{"x", x}}}, 0);
  EXPECT_EQ(names(run), (std::vector<std::string>{"inputs", "a", "stage 1", "b", "c", "outputs"}));
  run_all(run);
  EXPECT_TRUE(run.take_outputs(0).at("output").equal(x.exp().neg().exp().exp()));
}

TEST(StagedRun, AModelWithoutBlocksIsOneStage) {
  const ir::ModulePtr model = ir::parse_module(
      "module A { graph @1 { %x = placeholder \"x\" %y = call_op aten::neg(%x) output(%y) } }");
  Interpreter interpreter;
  const at::Tensor x = small_batch(0).at("input_ids");
  StagedRun run(interpreter, *model, {{{"x", x}}}, 0);
  EXPECT_EQ(names(run), std::vector<std::string>{"inputs"});
  run.run(0, 0);
  EXPECT_TRUE(run.take_outputs(0).at("output").equal(-x));
}

TEST(StagedRun, RequiredInputsMustBeThere) {
  const ir::ModulePtr model = small_model();
  Interpreter interpreter;
  EXPECT_THROW(StagedRun(interpreter, *model, {{}}, 0), UserError);
}

}  // namespace
}  // namespace lathe::ops
