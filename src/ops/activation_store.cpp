#include "ops/activation_store.h"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace lathe::ops {

struct ActivationStore::Account {
  size_t budget;
  std::atomic<size_t> used{0};
};

namespace {

/// `bytes` of a temporary file that has no name any more.
void* map_temporary(size_t bytes) {
  const char* folder = std::getenv("TMPDIR");
  std::string name = std::string(folder && *folder ? folder : "/tmp") + "/lathe-activations-XXXXXX";
  const int fd = ::mkstemp(name.data());
  if (fd < 0)
    throw_user("{}: cannot create a temporary file for activations: {}", name,
               std::strerror(errno));
  ::unlink(name.c_str());
  const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  void* memory =
      error ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int map_error = error ? error : errno;
  ::close(fd);
  if (memory == MAP_FAILED) {
    throw_user("{}: cannot hold {} bytes of activations: {} (TMPDIR chooses another folder)", name,
               bytes, std::strerror(map_error));
  }
  return memory;
}

}  // namespace

ActivationStore::ActivationStore(size_t budget_bytes) : account_(std::make_shared<Account>()) {
  account_->budget = budget_bytes;
}

size_t ActivationStore::bytes_in_memory() const { return account_->used; }

at::Tensor ActivationStore::keep(const at::Tensor& value) {
  const size_t bytes = value.nbytes();
  if (bytes == 0) return value;
  if (account_->used + bytes <= account_->budget) {
    // The tensor's own memory is kept; a holder counts it for as long as it lives.
    account_->used += bytes;
    const at::Tensor dense = value.contiguous();
    return at::from_blob(
        dense.data_ptr(), dense.sizes(),
        [dense, bytes, account = account_](void*) { account->used -= bytes; }, dense.options());
  }
  void* memory = map_temporary(bytes);
  at::Tensor mapped = at::from_blob(
      memory, value.sizes(), [memory, bytes](void*) { ::munmap(memory, bytes); }, value.options());
  mapped.copy_(value);
  return mapped;
}

}  // namespace lathe::ops
