#include "io/zip_writer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/saved_tensors.h"
#include "io/saved_tensors_writer.h"
#include "io/zip.h"

namespace lathe::io {
namespace {

/// Collects what is written.
struct Sink {
  std::vector<std::byte> bytes;
  ByteSink sink() {
    return [this](std::span<const std::byte> piece) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    };
  }
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::byte> write_three() {
  Sink sink;
  ZipWriter zip(sink.sink());
  zip.add("net/a", "hello");
  zip.begin("net/data/é", std::nullopt);
  for (int i = 0; i < 1000; ++i) zip.write(std::as_bytes(std::span("0123456789", 10)));
  zip.add("net/empty", "");
  zip.finish();
  EXPECT_EQ(zip.bytes_written(), sink.bytes.size());
  EXPECT_EQ(zip.entries(), 3u);
  return sink.bytes;
}

TEST(ZipWriter, IsReadBack) {
  const auto bytes = write_three();
  const ZipArchive archive = ZipArchive::from_bytes(bytes, "a.zip");
  ASSERT_EQ(archive.entries().size(), 3u);
  EXPECT_EQ(text_of(archive.read(*archive.find("net/a"), 100)), "hello");
  EXPECT_EQ(archive.read(*archive.find("net/data/é"), 100000).size(), 10000u);
  EXPECT_EQ(archive.find("net/empty")->bytes, 0u);
}

TEST(ZipWriter, DataBeginAtMultiplesOf64) {
  const auto bytes = write_three();
  const ZipArchive archive = ZipArchive::from_bytes(bytes, "a.zip");
  for (const ZipEntry& entry : archive.entries()) {
    const auto data = *archive.stored_bytes(entry);
    EXPECT_EQ((data.data() - bytes.data()) % 64, 0) << entry.name;
  }
}

TEST(ZipWriter, SameEntriesSameBytes) { EXPECT_EQ(write_three(), write_three()); }

TEST(ZipWriter, MoreEntriesThan16Bits) {
  Sink sink;
  ZipWriter zip(sink.sink());
  constexpr size_t kCount = 70000;
  for (size_t i = 0; i < kCount; ++i) zip.add(std::to_string(i), "x");
  zip.finish();
  const ZipArchive archive = ZipArchive::from_bytes(sink.bytes, "many.zip");
  EXPECT_EQ(archive.entries().size(), kCount);
  EXPECT_EQ(text_of(*archive.stored_bytes(*archive.find("69999"))), "x");
}

TEST(ZipWriter, EntriesHaveThePlannedBytes) {
  Sink sink;
  ZipWriter zip(sink.sink());
  zip.begin("short", 4);
  zip.write(std::as_bytes(std::span("abc", 3)));
  EXPECT_THROW(zip.finish(), InternalError);
  EXPECT_THROW(ZipWriter(sink.sink()).write(std::as_bytes(std::span("abc", 3))), InternalError);
}

StorageToSave storage(std::string text) {
  return {text.size(),
          [text](const ByteSink& sink) { sink(std::as_bytes(std::span<const char>(text))); }};
}

TEST(SavedTensorsWriter, IsReadBack) {
  const std::vector<TensorToSave> tensors = {
      {"weight", DType::kF32, {2, 2}, {1, 2}, 0, 0, true, true},
      {"frozen", DType::kF32, {3}, {1}, 1, 0, true, false, "cuda:1"},
      {"codes", DType::kI8, {4}, {1}, 0, 1},
      {"wide", DType::kU16, {2}, {1}, 0, 1},
      {"scalar", DType::kI64, {}, {}, 0, 2},
      {"nothing", DType::kBF16, {0, 3}, {3, 1}, 0, 3},
  };
  const std::vector<StorageToSave> storages = {storage(std::string(16, 'a')), storage("bcde"),
                                               storage("12345678"), storage("")};
  Sink sink;
  write_saved_tensors(tensors, storages, sink.sink());
  const auto views = read_saved_tensors({sink.bytes, {}}, "saved.pt");
  ASSERT_EQ(views.size(), tensors.size());
  for (size_t i = 0; i < views.size(); ++i) {
    EXPECT_EQ(views[i].name, tensors[i].name);
    EXPECT_EQ(views[i].dtype, tensors[i].dtype) << views[i].name;
    EXPECT_EQ(views[i].sizes, tensors[i].sizes) << views[i].name;
    EXPECT_EQ(views[i].strides, tensors[i].strides) << views[i].name;
    EXPECT_EQ(views[i].offset, tensors[i].offset) << views[i].name;
    EXPECT_EQ(views[i].is_parameter, tensors[i].is_parameter) << views[i].name;
    EXPECT_EQ(views[i].requires_grad, tensors[i].requires_grad) << views[i].name;
    EXPECT_EQ(views[i].device, tensors[i].device) << views[i].name;
  }
  EXPECT_EQ(views[0].storage_id, views[1].storage_id);
  EXPECT_NE(views[1].storage_id, views[2].storage_id);
  EXPECT_EQ(text_of(views[2].storage.view), "bcde");
}

}  // namespace
}  // namespace lathe::io
