#include "io/checkpoint_writer.h"

#include <thread>

#include "unit/io/checkpoint_fixture.h"

namespace lathe::io {
namespace {

using CheckpointWriterTest = CheckpointFixture;

const std::vector<std::string> kShards = {"model-00001-of-00003.safetensors",
                                          "model-00002-of-00003.safetensors",
                                          "model-00003-of-00003.safetensors"};

TEST_F(CheckpointWriterTest, WritesACheckpoint) {
  CheckpointWriter writer(folder_.path(), shared_layout());
  EXPECT_EQ(files(), (std::vector<std::string>{"lathe-export.journal", kShards[0] + ".partial",
                                               kShards[1] + ".partial", kShards[2] + ".partial"}));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(std::filesystem::file_size(folder_ / (kShards[i] + ".partial")),
              layout().shards[i].file_bytes);
  }
  EXPECT_FALSE(writer.tensor_written("head"));
  EXPECT_TRUE(writer.tensor_written("empty"));
  write_all_tensors(writer);
  EXPECT_TRUE(writer.tensor_written("head"));
  writer.verify();
  writer.finish();
  writer.verify();
  EXPECT_EQ(files(), (std::vector<std::string>{kShards[0], kShards[1], kShards[2],
                                               "model.safetensors.index.json"}));
  expect_complete_checkpoint();
}

TEST_F(CheckpointWriterTest, SingleFile) {
  CheckpointWriter writer(folder_ / "new/folder",
                          shared(plan_checkpoint({{"a", DType::kU8, {2}}}, 100)));
  writer.write("a", bytes_of("xy"));
  writer.finish();
  const auto file = SafetensorsFile::open(folder_ / "new/folder/model.safetensors");
  EXPECT_EQ(static_cast<char>(file.at("a").data()[1]), 'y');
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

/// Any threads, any order of pieces: the same bytes as one thread.
TEST_F(CheckpointWriterTest, PiecesFromManyThreads) {
  CheckpointWriter writer(folder_.path(), shared_layout());
  std::vector<std::thread> threads;
  for (size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&writer, part] {
      for (const TensorSpec& spec : specs()) {
        const std::string bytes = content(spec.name);
        const size_t begin = bytes.size() * (3 - part) / 4;
        const size_t end = bytes.size() * (4 - part) / 4;
        writer.write(spec.name, begin, bytes_of(bytes).subspan(begin, end - begin));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer.verify();
  writer.finish();
  expect_complete_checkpoint();
}

TEST_F(CheckpointWriterTest, EveryTensorExactlyOnce) {
  CheckpointWriter writer(folder_.path(), shared_layout());
  const std::string bytes = content("head");
  const auto piece = [&](size_t begin, size_t end) {
    writer.write("head", begin, bytes_of(bytes).subspan(begin, end - begin));
  };
  const auto refused = [&](const std::function<void()>& function) {
    return error_of(ErrorKind::kInternal, function);
  };

  refused([&] { writer.write("unknown", bytes_of(bytes)); });
  refused([&] { writer.write("head", bytes_of("short")); });
  refused([&] { writer.write("head", 198, bytes_of("long")); });
  refused([&] { writer.write("head", ~size_t{0}, bytes_of("long")); });
  piece(50, 100);
  refused([&] { piece(99, 120); });
  refused([&] { piece(0, 51); });
  refused([&] { piece(60, 70); });
  refused([&] { piece(0, 200); });
  piece(0, 50);
  piece(100, 150);
  refused([&] { piece(149, 151); });
  EXPECT_FALSE(writer.tensor_written("head"));
  EXPECT_NE(refused([&] { writer.finish_unit("u", {"head"}); }).find("head"), std::string::npos);
  piece(150, 200);
  EXPECT_TRUE(writer.tensor_written("head"));
  refused([&] { piece(0, 1); });
  EXPECT_NE(refused([&] { writer.finish(); }).find("l0.weight"), std::string::npos);
}

TEST_F(CheckpointWriterTest, VerifyFindsAChangedByte) {
  CheckpointWriter writer(folder_.path(), shared_layout());
  write_all_tensors(writer);
  writer.finish();
  const CheckpointLayout planned = layout();
  damage(kShards[planned.tensors[4].shard], planned.tensors[4].offset + 5);
  const std::string message = data_error_of([&] { writer.verify(); });
  EXPECT_NE(message.find("tensor \"head\""), std::string::npos) << message;
  EXPECT_NE(message.find(kShards[planned.tensors[4].shard]), std::string::npos) << message;
}

TEST_F(CheckpointWriterTest, RefusesToOverwrite) {
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_all_tensors(writer);
    writer.finish();
  }
  const auto before = contents_of_folder();
  const std::string message =
      error_of(ErrorKind::kUser, [&] { CheckpointWriter(folder_.path(), shared_layout()); });
  EXPECT_NE(message.find("holds a checkpoint already"), std::string::npos) << message;
  error_of(ErrorKind::kUser, [&] { CheckpointWriter::resume(folder_.path(), shared_layout()); });
  EXPECT_EQ(contents_of_folder(), before);
}

TEST_F(CheckpointWriterTest, ReplacesOnlyCheckpointFiles) {
  write_file(folder_ / "model-00001-of-00009.safetensors", "old");
  write_file(folder_ / "model.safetensors.index.json", "old");
  write_file(folder_ / "config.json", "kept");
  write_file(folder_ / "modelling.safetensors", "kept");
  CheckpointWriter writer(folder_.path(), shared(plan_checkpoint({{"a", DType::kU8, {1}}}, 9)),
                          ExistingCheckpoint::kReplace);
  EXPECT_EQ(files(),
            (std::vector<std::string>{"config.json", "lathe-export.journal",
                                      "model.safetensors.partial", "modelling.safetensors"}));
}

TEST_F(CheckpointWriterTest, FullDiskIsFoundAtOnce) {
  const CheckpointLayout huge =
      plan_checkpoint({{"a", DType::kU8, {int64_t{1} << 60}}}, size_t{1} << 62);
  const std::string message =
      error_of(ErrorKind::kUser, [&] { CheckpointWriter(folder_.path(), shared(huge)); });
  EXPECT_NE(message.find("the disk is full: 1152921504606847"), std::string::npos) << message;
  EXPECT_NE(message.find("are available"), std::string::npos) << message;
  EXPECT_TRUE(files().empty());
}

TEST_F(CheckpointWriterTest, FolderThatCannotBe) {
  write_file(folder_ / "file", "x");
  error_of(ErrorKind::kUser, [&] { CheckpointWriter(folder_ / "file", shared_layout()); });
}

}  // namespace
}  // namespace lathe::io
