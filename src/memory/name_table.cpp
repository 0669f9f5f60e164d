// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <sluice/core/hash.hpp>
#include <sluice/memory/name_table.hpp>

namespace sluice {
namespace {

void store_text(NameEntry::Word* words, std::size_t count, std::string_view text) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t word = 0;
    if (i * 8 < text.size()) {
      std::memcpy(&word, text.data() + i * 8, std::min<std::size_t>(8, text.size() - i * 8));
    }
    // relaxed: ordered by the entry's version.
    words[i].store(word, std::memory_order_relaxed);
  }
}

std::string load_text(const NameEntry::Word* words, std::size_t count) {
  std::string text(count * 8, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    // relaxed: ordered by the entry's version.
    const std::uint64_t word = words[i].load(std::memory_order_relaxed);
    std::memcpy(text.data() + i * 8, &word, 8);
  }
  return text;
}

}  // namespace

void write_entry(NameEntry& entry, const NamedObject& object) noexcept {
  // relaxed: this process alone writes the version.
  const std::uint64_t version = entry.version.load(std::memory_order_relaxed);
  entry.version.store(version + 1, std::memory_order_relaxed);
  // Pairs with the fence in `read_entry`: who sees a word from below sees the odd version too.
  std::atomic_thread_fence(std::memory_order_release);
  // relaxed: the version orders all of them.
  entry.offset.store(object.offset, std::memory_order_relaxed);
  entry.count.store(object.count, std::memory_order_relaxed);
  entry.element_bytes.store(object.element_bytes, std::memory_order_relaxed);
  entry.alignment.store(object.alignment, std::memory_order_relaxed);
  entry.type_hash.store(object.type_hash, std::memory_order_relaxed);
  entry.name_hash.store(hash_of(object.name), std::memory_order_relaxed);
  entry.name_bytes.store(object.name.size(), std::memory_order_relaxed);
  store_text(entry.name, NameEntry::kNameWords, object.name);
  store_text(entry.type, NameEntry::kTypeWords, object.type);
  // release: pairs with the acquire in `read_entry`, also for the object itself.
  entry.version.store(version + 2, std::memory_order_release);
}

std::optional<NamedObject> read_entry(const NameEntry& entry, std::string_view name,
                                      std::uint64_t name_hash) {
  // acquire: pairs with the release in `write_entry`.
  const std::uint64_t version = entry.version.load(std::memory_order_acquire);
  if (version % 2 != 0) return std::nullopt;
  // relaxed: looked at again by way of the version, behind the fence.
  if (entry.name_hash.load(std::memory_order_relaxed) != name_hash) return std::nullopt;
  NamedObject found;
  found.offset = entry.offset.load(std::memory_order_relaxed);
  found.count = entry.count.load(std::memory_order_relaxed);
  found.element_bytes = entry.element_bytes.load(std::memory_order_relaxed);
  found.alignment = entry.alignment.load(std::memory_order_relaxed);
  found.type_hash = entry.type_hash.load(std::memory_order_relaxed);
  const std::uint64_t name_bytes = entry.name_bytes.load(std::memory_order_relaxed);
  found.name = load_text(entry.name, NameEntry::kNameWords);
  found.type = load_text(entry.type, NameEntry::kTypeWords);
  // Pairs with the fence in `write_entry`.
  std::atomic_thread_fence(std::memory_order_acquire);
  // relaxed: behind the fence.
  if (entry.version.load(std::memory_order_relaxed) != version) return std::nullopt;
  if (found.offset == 0 || name_bytes != name.size()) return std::nullopt;
  found.name.resize(name_bytes);
  found.type.resize(std::strlen(found.type.c_str()));
  if (found.name != name) return std::nullopt;
  return found;
}

}  // namespace sluice
