#include "io/zip.h"

#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

using namespace std::string_literals;

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An archive with one stored entry, each field of which a test may set.
struct StoredArchive {
  std::string name = "a";
  std::string data = "hello";
  uint32_t crc = 0x3610a686;  // of "hello"
  uint32_t size = 5;
  uint32_t compressed = 5;
  uint16_t method = 0;
  uint16_t flags = 0;
  uint32_t local_offset = 0;
  std::string local_name = "a";
  int copies = 1;

  std::string sizes() const { return raw(crc) + raw(compressed) + raw(size); }
  std::string bytes() const {
    const std::string local = "PK\x03\x04"s + raw<uint16_t>(20) + raw(flags) + raw(method) +
                              raw<uint32_t>(0x21) + sizes() +
                              raw(static_cast<uint16_t>(local_name.size())) + raw<uint16_t>(0) +
                              local_name + data;
    const std::string entry = "PK\x01\x02"s + raw<uint16_t>(20) + raw<uint16_t>(20) + raw(flags) +
                              raw(method) + raw<uint32_t>(0x21) + sizes() +
                              raw(static_cast<uint16_t>(name.size())) + raw<uint16_t>(0) +
                              raw<uint16_t>(0) + raw<uint16_t>(0) + raw<uint16_t>(0) +
                              raw<uint32_t>(0) + raw(local_offset) + name;
    std::string directory;
    for (int i = 0; i < copies; ++i) directory += entry;
    return local + directory + "PK\x05\x06"s + raw<uint32_t>(0) +
           raw(static_cast<uint16_t>(copies)) + raw(static_cast<uint16_t>(copies)) +
           raw(static_cast<uint32_t>(directory.size())) + raw(static_cast<uint32_t>(local.size())) +
           raw<uint16_t>(0);
  }
};

/// Everything that can be asked of an archive.
void read_all(std::span<const std::byte> bytes) {
  const ZipArchive archive = ZipArchive::from_bytes(bytes, "evil.zip");
  for (const ZipEntry& entry : archive.entries()) {
    archive.read(entry, 1 << 16);
    archive.stored_bytes(entry);
  }
}

TEST(Zip, StoredEntry) {
  const std::string bytes = StoredArchive{}.bytes();
  const ZipArchive archive = ZipArchive::from_bytes(bytes_of(bytes), "a.zip");
  ASSERT_EQ(archive.entries().size(), 1u);
  const ZipEntry& entry = *archive.find("a");
  EXPECT_EQ(entry.bytes, 5u);
  EXPECT_TRUE(entry.stored);
  EXPECT_EQ(as_text(archive.read(entry, 5)), "hello");
  const auto slice = archive.stored_bytes(entry);
  ASSERT_TRUE(slice.has_value());
  EXPECT_EQ(as_text(*slice), "hello");
  EXPECT_EQ(static_cast<const void*>(slice->data()), bytes.data() + 31);
  EXPECT_EQ(archive.find("b"), nullptr);
}

/// numpy writes its archives with zip64 fields.
TEST(Zip, SlicesOfAMappedArchiveAreWhatReadGives) {
  const ZipArchive archive = ZipArchive::open(golden("stored.npz"));
  EXPECT_EQ(archive.entries().size(), 9u);
  for (const ZipEntry& entry : archive.entries()) {
    const auto slice = archive.stored_bytes(entry);
    ASSERT_TRUE(slice.has_value()) << entry.name;
    EXPECT_TRUE(std::ranges::equal(*slice, archive.read(entry, 1 << 20))) << entry.name;
  }
  EXPECT_NE(archive.owner(), nullptr);
}

TEST(Zip, DeflatedEntriesStream) {
  const ZipArchive archive = ZipArchive::open(golden("deflated.npz"));
  const ZipEntry& entry = archive.entries().front();
  EXPECT_FALSE(entry.stored);
  EXPECT_FALSE(archive.stored_bytes(entry).has_value());
  size_t total = 0;
  archive.stream(entry, 1 << 20, [&](std::span<const std::byte> piece) { total += piece.size(); });
  EXPECT_EQ(total, entry.bytes);
}

TEST(Zip, LimitIsKept) {
  const std::string bytes = StoredArchive{}.bytes();
  const ZipArchive archive = ZipArchive::from_bytes(bytes_of(bytes), "a.zip");
  const std::string message = data_error_of([&] { archive.read(archive.entries()[0], 4); });
  EXPECT_NE(message.find("a.zip: entry \"a\" has 5 bytes, above the limit of 4"), std::string::npos)
      << message;
}

TEST(Zip, Hostile) {
  read_all(bytes_of(StoredArchive{}.bytes()));
  expect_refused(
      {
          {"", "no valid zip archive"},
          {"PK\x05\x06", "no valid zip archive"},
          {std::string(1000, 'x'), "no valid zip archive"},
          {StoredArchive{.crc = 1}.bytes(), "CRC"},
          {StoredArchive{.size = 6}.bytes(), "claims 6 bytes in 5"},
          {StoredArchive{.size = 0xfffffffe, .compressed = 0xfffffffe}.bytes(), "evil.zip"},
          {StoredArchive{.size = 0xfffffffe, .method = 8}.bytes(), "claims 4294967294 bytes in 5"},
          {StoredArchive{.method = 8}.bytes(), "evil.zip: entry \"a\""},
          {StoredArchive{.method = 77}.bytes(), "evil.zip: entry \"a\""},
          {StoredArchive{.flags = 1}.bytes(), "evil.zip: entry \"a\""},
          {StoredArchive{.local_offset = 3}.bytes(), "evil.zip"},
          {StoredArchive{.local_offset = 0xfffffff0}.bytes(), "evil.zip"},
          {StoredArchive{.local_name = "b"}.bytes(), "another name"},
          {StoredArchive{.copies = 2}.bytes(), "is there twice"},
      },
      read_all);
}

TEST(Zip, TruncationsAndMutations) {
  const std::string bytes = StoredArchive{}.bytes();
  expect_truncations_refused(bytes, read_all);
  EXPECT_GT(count_refused_mutations(bytes, read_all), 100);
  EXPECT_GT(count_refused_mutations(read_file(golden("stored.npz")), read_all), 500);
}

TEST(Zip, MissingFileIsTheUsersError) {
  error_of(ErrorKind::kUser, [] { ZipArchive::open("/nonexistent.zip"); });
}

}  // namespace
}  // namespace lathe::io
