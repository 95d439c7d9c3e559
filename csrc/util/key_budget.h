// How much work the keys of a file may make.

#ifndef TENSORBUNDLE_UTIL_KEY_BUDGET_H_
#define TENSORBUNDLE_UTIL_KEY_BUDGET_H_

#include <cstdint>

namespace tensorbundle {

// A key may take one byte of a file, since it shares the others with the key before it, or none, where it is made of a
// name that is stored once: so a small file can list keys that fill any memory. Names of real checkpoints are far from
// this.
class KeyBudget {
 public:
  explicit KeyBudget(uint64_t stored_bytes = 0) { Allow(stored_bytes); }

  // Takes so many bytes more into account, in which keys are stored.
  void Allow(uint64_t stored_bytes) { limit_ += kKeyBytesPerByte * stored_bytes; }
  // False if all keys together are larger than they may be with this one.
  bool Take(uint64_t key_bytes) {
    if (key_bytes > limit_ - taken_) return false;
    taken_ += key_bytes;
    return true;
  }
  uint64_t limit() const { return limit_; }

 private:
  static constexpr uint64_t kKeyBytesPerByte = 64;
  static constexpr uint64_t kKeyBytesAnyway = uint64_t{16} << 20;

  uint64_t limit_ = kKeyBytesAnyway;
  uint64_t taken_ = 0;
};

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_KEY_BUDGET_H_
