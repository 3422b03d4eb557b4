#include "io/checkpoint_writer.h"
#include "unit/io/checkpoint_fixture.h"

namespace lathe::io {
namespace {

using CheckpointResume = CheckpointFixture;

constexpr const char* kJournal = "lathe-export.journal";

/// A resumed run gives the bytes of an uninterrupted one.
TEST_F(CheckpointResume, ContinuesAfterTheLastUnit) {
  const TemporaryFolder whole_folder;
  {
    CheckpointWriter writer(whole_folder.path(), shared_layout());
    write_all_tensors(writer);
    writer.finish();
  }
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_unit(writer, "l0");
    writer.write("l1.weight", 0, bytes_of("half a tensor when the run was killed"));
  }
  EXPECT_TRUE(CheckpointWriter::can_resume(folder_.path()));
  error_of(ErrorKind::kUser, [&] { CheckpointWriter(folder_.path(), shared_layout()); });
  {
    CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
    EXPECT_EQ(writer.finished_units(), std::vector<std::string>{"l0"});
    EXPECT_TRUE(writer.unit_finished("l0"));
    EXPECT_FALSE(writer.unit_finished("l1"));
    EXPECT_TRUE(writer.tensor_written("l0.scale"));
    EXPECT_FALSE(writer.tensor_written("l1.weight"));
    error_of(ErrorKind::kInternal, [&] { write(writer, "l0.weight"); });
    error_of(ErrorKind::kInternal, [&] { writer.finish_unit("l0", {}); });
    error_of(ErrorKind::kInternal, [&] { writer.finish_unit("other", {"l0.weight"}); });
    write_unit(writer, "l1");
    write(writer, "head");
    writer.verify();
    writer.finish();
  }
  expect_complete_checkpoint();
  EXPECT_FALSE(CheckpointWriter::can_resume(folder_.path()));
  for (const auto& [name, bytes] : contents_of_folder())
    EXPECT_EQ(bytes, read_file(whole_folder / name)) << name;
}

TEST_F(CheckpointResume, StartsWhereThereIsNothing) {
  CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
  EXPECT_TRUE(writer.finished_units().empty());
  write_all_tensors(writer);
  writer.finish();
  expect_complete_checkpoint();
}

TEST_F(CheckpointResume, LeftoversWithoutAJournalAreReplaced) {
  write_file(folder_ / "model-00001-of-00003.safetensors.partial", "died before the journal");
  CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
  write_all_tensors(writer);
  writer.finish();
  expect_complete_checkpoint();
}

/// Wherever the journal's last line is torn, resuming drops that unit and no other.
TEST_F(CheckpointResume, TornLastLine) {
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_unit(writer, "l0");
    write_unit(writer, "l1");
  }
  const std::string journal = read_file(folder_ / kJournal);
  const size_t last_line = journal.rfind('\n', journal.size() - 2) + 1;
  for (size_t size = last_line; size < journal.size(); size += 7) {
    write_file(folder_ / kJournal, journal.substr(0, size));
    EXPECT_EQ(CheckpointWriter::resume(folder_.path(), shared_layout()).finished_units(),
              std::vector<std::string>{"l0"});
  }
  write_file(folder_ / kJournal, journal.substr(0, last_line) + std::string(40, '\0') + "\n");
  CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
  write_unit(writer, "l1");
  EXPECT_EQ(read_file(folder_ / kJournal), journal);
  write(writer, "head");
  writer.finish();
  expect_complete_checkpoint();
}

TEST_F(CheckpointResume, DamagedUnitIsDoneAgain) {
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_unit(writer, "l0");
    write_unit(writer, "l1");
  }
  const PlannedTensor tensor = layout().tensors[0];
  damage(layout().shards[tensor.shard].file_name + ".partial", tensor.offset + 100);
  CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
  EXPECT_EQ(writer.finished_units(), std::vector<std::string>{"l1"});
  write_unit(writer, "l0");
  write(writer, "head");
  writer.verify();
  writer.finish();
  expect_complete_checkpoint();
}

TEST_F(CheckpointResume, AnotherLayoutIsRefused) {
  { CheckpointWriter writer(folder_.path(), shared_layout()); }
  const auto refused = [&](const CheckpointLayout& other) {
    const std::string message = error_of(
        ErrorKind::kUser, [&] { CheckpointWriter::resume(folder_.path(), shared(other)); });
    EXPECT_NE(message.find("cannot be resumed"), std::string::npos) << message;
  };
  refused(plan_checkpoint(specs(), 5000));
  CheckpointLayout other_recipe = layout();
  other_recipe.fingerprint = "another recipe";
  refused(other_recipe);
}

TEST_F(CheckpointResume, MissingOrChangedShardIsRefused) {
  { CheckpointWriter writer(folder_.path(), shared_layout()); }
  const std::string shard = "model-00002-of-00003.safetensors.partial";
  const std::string bytes = read_file(folder_ / shard);
  const auto refused = [&] {
    error_of(ErrorKind::kUser, [&] { CheckpointWriter::resume(folder_.path(), shared_layout()); });
  };
  write_file(folder_ / shard, bytes + "x");
  refused();
  write_file(folder_ / shard, std::string(bytes.size(), 'x'));
  refused();
  std::filesystem::remove(folder_ / shard);
  refused();
}

/// Killed inside finish(), after some shards got their names.
TEST_F(CheckpointResume, InterruptedFinish) {
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_unit(writer, "l0");
    write_unit(writer, "l1");
    write(writer, "head");
    writer.finish_unit("head", {"head", "empty"});
  }
  const std::filesystem::path shard = folder_ / "model-00001-of-00003.safetensors";
  std::filesystem::rename(shard.string() + ".partial", shard);
  CheckpointWriter writer = CheckpointWriter::resume(folder_.path(), shared_layout());
  EXPECT_EQ(writer.finished_units().size(), 3u);
  writer.verify();
  writer.finish();
  expect_complete_checkpoint();
}

TEST_F(CheckpointResume, MalformedJournal) {
  {
    CheckpointWriter writer(folder_.path(), shared_layout());
    write_unit(writer, "l0");
  }
  const std::string journal = read_file(folder_ / kJournal);
  const std::string header = journal.substr(0, journal.find('\n') + 1);
  for (const char* line :
       {"nonsense", "[]", "{}", R"({"unit":1,"tensors":{}})", R"({"unit":"u","tensors":[]})",
        R"({"unit":"u","tensors":{"head":-1}})", R"({"unit":"u","tensors":{"head":4294967296}})",
        R"({"unit":"u","tensors":{"unknown":1}})"}) {
    SCOPED_TRACE(line);
    write_file(folder_ / kJournal, header + line + "\n" + journal.substr(header.size()));
    data_error_of([&] { CheckpointWriter::resume(folder_.path(), shared_layout()); });
  }
  write_file(folder_ / kJournal, journal + journal.substr(header.size()));
  data_error_of([&] { CheckpointWriter::resume(folder_.path(), shared_layout()); });
}

}  // namespace
}  // namespace lathe::io
