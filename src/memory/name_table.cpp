// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <sluice/core/hash.hpp>
#include <sluice/memory/name_table.hpp>

namespace sluice {
namespace {

using Words = std::array<std::uint64_t, std::extent_v<decltype(NameEntry::text)>>;
using Text = std::array<char, sizeof(Words)>;

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
  Text text{};
  object.name.copy(text.data(), NameEntry::kNameBytes);
  object.type.copy(text.data() + NameEntry::kNameBytes, NameEntry::kTypeBytes);
  const auto words = std::bit_cast<Words>(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    entry.text[i].store(words[i], std::memory_order_relaxed);
  }
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
  Words words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = entry.text[i].load(std::memory_order_relaxed);
  }
  // Pairs with the fence in `write_entry`.
  std::atomic_thread_fence(std::memory_order_acquire);
  // relaxed: behind the fence.
  if (entry.version.load(std::memory_order_relaxed) != version) return std::nullopt;
  if (found.offset == 0 || name_bytes != name.size()) return std::nullopt;
  const auto text = std::bit_cast<Text>(words);
  found.name = std::string_view(text.data(), NameEntry::kNameBytes).substr(0, name_bytes);
  if (found.name != name) return std::nullopt;
  const char* type = text.data() + NameEntry::kNameBytes;
  found.type.assign(type, std::find(type, type + NameEntry::kTypeBytes, '\0'));
  return found;
}

}  // namespace sluice
