#include "io/safetensors_reader.h"
#include "io/safetensors_writer.h"
#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {
namespace {

/// A file whose tensors are single bytes.
void write_file_of(const std::filesystem::path& path, const std::vector<std::string>& names) {
  static constexpr std::byte kByte{7};
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::kU8, {1}, {&kByte, 1}});
  write_safetensors(path, tensors, {{"from", path.filename().string()}});
}

class Checkpoint : public testing::Test {
 protected:
  void write_shards() {
    write_file_of(folder_ / "model-00001-of-00002.safetensors", {"b", "a"});
    write_file_of(folder_ / "model-00002-of-00002.safetensors", {"c"});
  }
  void write_index(const std::string& weight_map) {
    write_file(folder_ / "model.safetensors.index.json",
               R"({"metadata":{"total_size":3},"weight_map":)" + weight_map + "}");
  }
  std::string open_error(ErrorKind kind) {
    return error_of(kind, [&] { SafetensorsCheckpoint::open(folder_.path()); });
  }

  TemporaryFolder folder_;
};

constexpr const char* kGoodMap =
    R"({"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"})";

TEST_F(Checkpoint, Sharded) {
  write_shards();
  write_index(kGoodMap);
  const auto checkpoint = SafetensorsCheckpoint::open(folder_.path());
  ASSERT_EQ(checkpoint.tensors().size(), 3u);
  EXPECT_EQ(checkpoint.tensors()[0].name, "b");  // by file, then by offset
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.total_bytes(), 3u);
  EXPECT_EQ(checkpoint.at("c").file->path().filename(), "model-00002-of-00002.safetensors");
  EXPECT_EQ(checkpoint.metadata().at("from"), "model-00001-of-00002.safetensors");
  EXPECT_EQ(checkpoint.find("d"), nullptr);
}

TEST_F(Checkpoint, ShardsInFoldersBelow) {
  std::filesystem::create_directories(folder_ / "parts/more");
  write_file_of(folder_ / "parts/one.safetensors", {"a"});
  write_file_of(folder_ / "parts/more/one.safetensors", {"b"});
  write_index(R"({"a":"parts/one.safetensors","b":"parts/more/one.safetensors"})");
  const auto checkpoint = SafetensorsCheckpoint::open(folder_.path());
  EXPECT_EQ(checkpoint.at("a").file->path(), folder_ / "parts/one.safetensors");
  EXPECT_EQ(checkpoint.at("b").file->path(), folder_ / "parts/more/one.safetensors");
  write_index(R"({"a":"parts/more/one.safetensors","b":"parts/one.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("tensor \"a\" is not in parts/more/one.safetensors"),
            std::string::npos);
}

TEST_F(Checkpoint, SingleFileOfAnyName) {
  write_file_of(folder_ / "weights.safetensors", {"x"});
  EXPECT_EQ(SafetensorsCheckpoint::open(folder_.path()).tensors().size(), 1u);
  EXPECT_EQ(SafetensorsCheckpoint::open(folder_ / "weights.safetensors").tensors().size(), 1u);
  write_file_of(folder_ / "more.safetensors", {"y"});
  EXPECT_NE(open_error(ErrorKind::kUser).find("found 2"), std::string::npos);
  write_file_of(folder_ / "model.safetensors", {"z"});
  EXPECT_EQ(SafetensorsCheckpoint::open(folder_.path()).tensors()[0].name, "z");
}

TEST_F(Checkpoint, NothingThere) {
  EXPECT_NE(open_error(ErrorKind::kUser).find("found 0"), std::string::npos);
  error_of(ErrorKind::kUser, [&] { SafetensorsCheckpoint::open(folder_ / "missing"); });
}

TEST_F(Checkpoint, IndexNamesATensorThatIsNotThere) {
  write_shards();
  write_index(R"({"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors",)"
              R"("c":"model-00002-of-00002.safetensors","d":"model-00002-of-00002.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("tensor \"d\" is not in model-00002-of-00002"),
            std::string::npos);
}

TEST_F(Checkpoint, IndexHasATensorInTheWrongShard) {
  write_shards();
  write_index(R"({"a":"model-00002-of-00002.safetensors","b":"model-00001-of-00002.safetensors",)"
              R"("c":"model-00002-of-00002.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("tensor \"a\" is not in"), std::string::npos);
}

TEST_F(Checkpoint, ShardHasATensorThatTheIndexLacks) {
  write_shards();
  write_index(R"({"a":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("tensor \"b\" is not in weight_map"),
            std::string::npos);
}

TEST_F(Checkpoint, TensorInTwoShards) {
  write_file_of(folder_ / "one.safetensors", {"a"});
  write_file_of(folder_ / "two.safetensors", {"a", "b"});
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("tensor \"a\" is in both"), std::string::npos);
}

TEST_F(Checkpoint, MissingShard) {
  write_index(R"({"a":"model-00001-of-00001.safetensors"})");
  EXPECT_NE(open_error(ErrorKind::kUser).find("model-00001-of-00001"), std::string::npos);
}

TEST_F(Checkpoint, NoFileOutsideTheFolderIsOpened) {
  write_file_of(folder_ / "x.safetensors", {"a"});
  for (const char* name : {"../x.safetensors", "/etc/passwd", "..", ".", "", "a/../x.safetensors",
                           "x\\\\y", "/x", "./x.safetensors", "a/", "a/./x"}) {
    write_index(fmt::format(R"({{"a":"{}"}})", name));
    EXPECT_NE(open_error(ErrorKind::kData).find("no plain file name"), std::string::npos) << name;
  }
}

TEST_F(Checkpoint, MalformedIndex) {
  for (const char* map : {"[]", "null", "1"}) {
    write_index(map);
    EXPECT_NE(open_error(ErrorKind::kData).find("weight_map"), std::string::npos);
  }
  write_index(R"({"a":1})");
  EXPECT_NE(open_error(ErrorKind::kData).find("no file name"), std::string::npos);
  write_index(R"({"a":"x","a":"y"})");
  EXPECT_NE(open_error(ErrorKind::kData).find("given twice"), std::string::npos);
  write_file(folder_ / "model.safetensors.index.json", "[1]");
  EXPECT_NE(open_error(ErrorKind::kData).find("weight_map"), std::string::npos);
}

}  // namespace
}  // namespace lathe::io
