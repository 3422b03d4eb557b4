#include "export/hf_checkpoint/checkpoint_exporter.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <fstream>

#include "io/json.h"
#include "io/safetensors_reader.h"
#include "lathe/error.h"
#include "unit/export/model_tree.h"
#include "unit/export/scratch_folder.h"
#include "unit/export/tiny_model.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;
using lathe::testing::export_tiny;
using lathe::testing::folder_contents;
using lathe::testing::mixed_scheme;
using lathe::testing::run_export;
using lathe::testing::ScratchFolder;
using lathe::testing::tiny_model;
using lathe::testing::tiny_plan;

/// All but finish().
constexpr int kStepsBeforeFinish = 26;

std::string user_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return "(no UserError)";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Runs the program interrupted_export; its exit code.
int run_interrupted(const fs::path& output, int steps) {
  std::string program = LATHE_BINARY_DIR "/bin/interrupted_export";
  std::string folder = output.string();
  std::string count = std::to_string(steps);
  char* arguments[] = {program.data(), folder.data(), count.data(), nullptr};
  pid_t child = 0;
  if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0) return -1;
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(CheckpointExporter, WritesWhatWasPlanned) {
  const ScratchFolder scratch;
  ASSERT_TRUE(export_tiny(scratch / "out", ExportMode::kFresh, false));
  const auto files = folder_contents(scratch / "out");
  for (const char* name : {"config.json", "hf_quant_config.json", "tokenizer.json",
                           "generation_config.json", "model-00001-of-00002.safetensors",
                           "model-00002-of-00002.safetensors", "model.safetensors.index.json"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
  EXPECT_EQ(files.size(), 7);
  EXPECT_FALSE(fs::exists(scratch / "out.lathe-partial"));
  EXPECT_EQ(io::parse_json(files.at("config.json"), "config.json")["quantization_config"]["ignore"],
            (nlohmann::json{"lm_head", "model.embed_tokens"}));

  const auto checkpoint = io::SafetensorsCheckpoint::open(scratch / "out");
  const auto bias = checkpoint.at("model.layers.0.self_attn.o_proj.bias").data();
  const at::Tensor source =
      tiny_model().root->find_parameter("model.layers.0.self_attn.o_proj.bias")->tensor();
  EXPECT_EQ(std::memcmp(bias.data(), source.const_data_ptr(), bias.size()), 0);
  float scale = 0.0f;
  const auto kv = checkpoint.at("model.layers.1.self_attn.v_proj.v_scale").data();
  ASSERT_EQ(kv.size(), sizeof scale);
  std::memcpy(&scale, kv.data(), sizeof scale);
  EXPECT_EQ(scale, 0.25f);
}

TEST(CheckpointExporter, RefusesAFolderThatExists) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "out");  // an empty one is no obstacle
  ASSERT_TRUE(export_tiny(scratch / "out", ExportMode::kFresh, false));
  const std::string text =
      user_error([&] { export_tiny(scratch / "out", ExportMode::kFresh, false); });
  EXPECT_TRUE(contains(text, "exists already; --force")) << text;
}

TEST(CheckpointExporter, RelativePaths) {
  const ScratchFolder scratch;
  const fs::path before = fs::current_path();
  fs::current_path(scratch.path());
  const bool written = export_tiny("out", ExportMode::kFresh, false);
  fs::current_path(before);
  EXPECT_TRUE(written);
  EXPECT_TRUE(fs::exists(scratch / "out/config.json"));
}

TEST(CheckpointExporter, ForceReplacesACheckpointWhenAllIsDone) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "out");
  write_file(scratch / "out/config.json", "old");
  write_file(scratch / "out/vocab.txt", "old");
  EXPECT_FALSE(export_tiny(scratch / "out", ExportMode::kFresh, true, 5));
  EXPECT_EQ(folder_contents(scratch / "out").size(), 2);  // still the old one
  EXPECT_TRUE(export_tiny(scratch / "out/", ExportMode::kFresh, true));
  EXPECT_FALSE(fs::exists(scratch / "out/vocab.txt"));
  EXPECT_FALSE(fs::exists(scratch / "out.lathe-partial"));
  EXPECT_EQ(folder_contents(scratch / "out").size(), 7);
}

TEST(CheckpointExporter, ForceReplacesNothingButCheckpoints) {
  const ScratchFolder scratch;
  fs::create_directories(scratch / "out/photos");
  write_file(scratch / "out/config.json", "{}");
  const auto attempt = [&] {
    return user_error([&] { export_tiny(scratch / "out", ExportMode::kFresh, true); });
  };
  EXPECT_TRUE(contains(attempt(), "holds a folder (photos)")) << attempt();
  fs::remove(scratch / "out/photos");
  fs::rename(scratch / "out/config.json", scratch / "out/letter.txt");
  EXPECT_TRUE(contains(attempt(), "holds no model")) << attempt();
  EXPECT_TRUE(fs::exists(scratch / "out/letter.txt"));
  write_file(scratch / "file", "x");
  EXPECT_TRUE(contains(user_error([&] { export_tiny(scratch / "file", ExportMode::kFresh, true); }),
                       "is no folder"));
}

TEST(CheckpointExporter, NeverReplacesItsOwnSource) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "model");
  write_file(scratch / "model/config.json", "{}");
  fs::create_directory_symlink(scratch / "model", scratch / "link");
  ir::Model model = tiny_model();
  for (const char* source : {"model", "model/config.json", "link"}) {
    model.source = (scratch / source).string();
    const auto plan = CheckpointPlan::make(model, {}, {});
    const auto problems = output_problems(plan, scratch / "model", ExportMode::kFresh, true);
    ASSERT_EQ(problems.size(), 1);
    EXPECT_TRUE(contains(problems[0], "holds the model that is exported"));
    EXPECT_TRUE(output_problems(plan, scratch / "model/fp8", ExportMode::kFresh, false).empty());
  }
}

TEST(CheckpointExporter, FoldersThatCannotBeWritten) {
  const ScratchFolder scratch;
  write_file(scratch / "file", "x");
  const std::string below =
      user_error([&] { export_tiny(scratch / "file/out", ExportMode::kFresh, false); });
  EXPECT_TRUE(contains(below, (scratch / "file").string())) << below;
  EXPECT_NE(user_error([&] { export_tiny("/proc/lathe/out", ExportMode::kFresh, false); }),
            "(no UserError)");
  EXPECT_NE(user_error([&] { export_tiny("", ExportMode::kFresh, false); }), "(no UserError)");
}

TEST(CheckpointExporter, ADiskThatIsTooSmallIsToldBeforehand) {
  const ScratchFolder scratch;
  EXPECT_EQ(disk_space_problem(scratch / "a/b", 1, 0), "");
  const uint64_t huge = uint64_t{1} << 60;
  const std::string text = disk_space_problem(scratch.path(), huge, 0);
  EXPECT_TRUE(contains(text, "needs 1152921504606846976 bytes")) << text;
  EXPECT_TRUE(contains(text, ", the disk has ")) << text;
  EXPECT_EQ(disk_space_problem(scratch.path(), huge, huge), "");
}

TEST(CheckpointExporter, AFullDiskLeavesNothingBehind) {
  const ScratchFolder scratch;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text =
      user_error([&] { export_tiny(scratch / "out", ExportMode::kFresh, false); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, ignored);
  EXPECT_TRUE(contains(text, "model-00001-of-00002.safetensors")) << text;
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(CheckpointExporter, AKilledExportResumesToTheSameBytes) {
  const ScratchFolder scratch;
  ASSERT_TRUE(export_tiny(scratch / "whole", ExportMode::kFresh, false));
  const auto expected = folder_contents(scratch / "whole");
  // 27 steps: embeddings 2, layers 11 each, norm 2, finish.
  for (const int steps : {0, 1, 2, 9, 13, 15, 25, kStepsBeforeFinish}) {
    const fs::path output = scratch / ("killed" + std::to_string(steps));
    ASSERT_EQ(run_interrupted(output, steps), 9) << steps;
    EXPECT_FALSE(fs::exists(output));
    ASSERT_TRUE(export_tiny(output, ExportMode::kResume, false)) << steps;
    EXPECT_EQ(folder_contents(output), expected) << steps;
  }
}

/// A process that is killed while it writes a small file leaves it under a temporary name.
TEST(CheckpointExporter, FilesThatAKilledProcessLeftAreNotShipped) {
  const ScratchFolder scratch;
  ASSERT_TRUE(export_tiny(scratch / "whole", ExportMode::kFresh, false));
  ASSERT_EQ(run_interrupted(scratch / "out", 13), 9);
  const fs::path partial = scratch / "out.lathe-partial";
  write_file(partial / "config.json.tmp.4711", "{\"archi");
  write_file(partial / "lathe-export.complete.tmp.12", "");
  ASSERT_TRUE(export_tiny(scratch / "out", ExportMode::kResume, false));
  EXPECT_EQ(folder_contents(scratch / "out"), folder_contents(scratch / "whole"));
}

TEST(CheckpointExporter, KilledAgainAndAgain) {
  const ScratchFolder scratch;
  ASSERT_TRUE(export_tiny(scratch / "whole", ExportMode::kFresh, false));
  int runs = 1;
  while (run_interrupted(scratch / "out", 13) == 9) ASSERT_LT(++runs, 10);
  EXPECT_GT(runs, 2);
  EXPECT_EQ(folder_contents(scratch / "out"), folder_contents(scratch / "whole"));
}

TEST(CheckpointExporter, AnInterruptedExportIsNotThrownAwayUnasked) {
  const ScratchFolder scratch;
  ASSERT_FALSE(export_tiny(scratch / "out", ExportMode::kFresh, false, 10));
  const std::string text =
      user_error([&] { export_tiny(scratch / "out", ExportMode::kFresh, false); });
  EXPECT_TRUE(contains(text, "--resume continues it")) << text;
  EXPECT_TRUE(export_tiny(scratch / "out", ExportMode::kFresh, true));
}

TEST(CheckpointExporter, AnotherPlanDoesNotResume) {
  const ScratchFolder scratch;
  ASSERT_FALSE(export_tiny(scratch / "out", ExportMode::kFresh, false, 10));
  const ir::Model model = tiny_model();
  const auto other = CheckpointPlan::make(model, mixed_scheme(model), {.fingerprint = "other"});
  EXPECT_THROW(CheckpointExporter(other, scratch / "out", ExportMode::kResume, false), UserError);
}

TEST(CheckpointExporter, AnExportThatIsCompleteButNotPublishedResumes) {
  const ScratchFolder scratch;
  ASSERT_TRUE(export_tiny(scratch / "whole", ExportMode::kFresh, false));
  const ir::Model model = tiny_model();
  {
    CheckpointExporter exporter(tiny_plan(), scratch / "out", ExportMode::kFresh, false);
    fs::create_directory(scratch / "out");
    write_file(scratch / "out/letter.txt", "came in between");
    const std::string text = user_error([&] { run_export(exporter, model, mixed_scheme(model)); });
    EXPECT_TRUE(contains(text, "the export is complete in")) << text;
  }
  EXPECT_EQ(folder_contents(scratch / "out").size(), 1);
  fs::remove_all(scratch / "out");
  EXPECT_TRUE(contains(user_error([&] { export_tiny(scratch / "out", ExportMode::kFresh, false); }),
                       "--resume continues it"));
  CheckpointExporter resumed(tiny_plan(), scratch / "out", ExportMode::kResume, false);
  EXPECT_TRUE(resumed.unit_finished("model.layers.1"));
  resumed.finish();
  EXPECT_EQ(folder_contents(scratch / "out"), folder_contents(scratch / "whole"));
}

void flip_byte(const fs::path& file, std::streamoff position) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(position);
  const char flipped = static_cast<char>(stream.get() ^ 0x10);
  stream.seekp(position);
  stream.put(flipped);
  ASSERT_TRUE(stream.good());
}

TEST(CheckpointExporter, VerificationFindsAFlippedByteAndResumeMendsIt) {
  const ScratchFolder scratch;
  const fs::path output = scratch / "out";
  const ir::Model model = tiny_model();
  {
    CheckpointExporter exporter(tiny_plan(), output, ExportMode::kFresh, false);
    ASSERT_FALSE(run_export(exporter, model, mixed_scheme(model), kStepsBeforeFinish));
    const io::PlannedTensor& tensor = exporter.plan().tensor("model.layers.0.mlp.up_proj.weight");
    const fs::path shard = exporter.working_folder() /
                           (exporter.plan().layout().shards[tensor.shard].file_name + ".partial");
    flip_byte(shard, static_cast<std::streamoff>(tensor.offset + 77));
    try {
      exporter.finish();
      ADD_FAILURE() << "the flipped byte was not found";
    } catch (const DataError& error) {
      EXPECT_TRUE(contains(error.what(), "model.layers.0.mlp.up_proj.weight")) << error.what();
    }
    EXPECT_FALSE(fs::exists(output));
  }
  ASSERT_TRUE(export_tiny(output, ExportMode::kResume, false));
  ASSERT_TRUE(export_tiny(scratch / "whole", ExportMode::kFresh, false));
  EXPECT_EQ(folder_contents(output), folder_contents(scratch / "whole"));
}

TEST(CheckpointExporter, WhatIsMissingOrUnplannedIsAnInternalError) {
  const ScratchFolder scratch;
  const ir::Model model = tiny_model();
  CheckpointExporter exporter(tiny_plan(), scratch / "out", ExportMode::kFresh, false);
  EXPECT_THROW(exporter.finish(), InternalError);
  EXPECT_THROW(exporter.finish_unit("model.norm"), InternalError);
  const at::Tensor weight =
      model.root->find_parameter("model.layers.0.self_attn.q_proj.weight")->tensor();
  const std::string path = "model.layers.0.self_attn.q_proj";
  LayerValues values = lathe::testing::amax_values(exporter.plan().layer(path), weight);
  values.input_scale.reset();
  EXPECT_THROW(exporter.write_quantized(path, weight, values), InternalError);
  values.input_scale = NAN;
  values.weight_scales.values.push_back(1.0f);
  EXPECT_THROW(exporter.write_quantized(path, weight, values), InternalError);
  EXPECT_THROW(exporter.write_plain("model.norm.weight", at::empty({63}, at::kBFloat16)),
               InternalError);
  EXPECT_THROW(exporter.write_plain("model.norm.weight", at::empty({64}, at::kInt)), InternalError);
  exporter.write_plain("model.norm.weight", at::empty({64}, at::kFloat).fill_(1.0));
  EXPECT_THROW(exporter.write_plain("model.norm.weight", at::empty({64}, at::kFloat).fill_(1.0)),
               InternalError);
}

TEST(CheckpointExporter, AWeightThatIsNotFiniteIsADataError) {
  const ScratchFolder scratch;
  const ir::Model model = tiny_model();
  CheckpointExporter exporter(tiny_plan(), scratch / "out", ExportMode::kFresh, false);
  const std::string path = "model.layers.1.mlp.up_proj";
  const at::Tensor weight = model.root->find_parameter(path + ".weight")->tensor().clone();
  const LayerValues values = lathe::testing::amax_values(exporter.plan().layer(path), weight);
  weight.mutable_data_ptr<at::BFloat16>()[777] = INFINITY;
  try {
    exporter.write_quantized(path, weight, values);
    ADD_FAILURE() << "the infinity was written";
  } catch (const DataError& error) {
    EXPECT_TRUE(contains(error.what(), path + ".weight")) << error.what();
  }
}

}  // namespace
}  // namespace lathe::exporting
