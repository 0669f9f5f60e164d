// SPDX-License-Identifier: Apache-2.0
//
// A dictionary in shared memory: a vector of entries, sorted by their keys.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <sluice/container/dynamic_payload.hpp>
#include <sluice/container/vector.hpp>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/container_words.hpp>
#include <type_traits>
#include <utility>

namespace sluice {

/// What a `Map` consists of.
template <typename K, typename V>
struct MapEntry {
  explicit MapEntry(const Allocator<>& allocator)
      : first(make_in<K>(allocator)), second(make_in<V>(allocator)) {}
  template <typename Key = K, typename Value = V>
  requires(!std::is_same_v<std::remove_cvref_t<Key>, MapEntry>)
      MapEntry(Key&& key, Value&& value, const Allocator<>& allocator = {})
      : first(make_in<K>(allocator, std::forward<Key>(key))),
        second(make_in<V>(allocator, std::forward<Value>(value))) {}
  MapEntry(const MapEntry& other, const Allocator<>& allocator)
      : MapEntry(other.first, other.second, allocator) {}
  MapEntry(MapEntry&& other, const Allocator<>& allocator)
      : MapEntry(std::move(other.first), std::move(other.second), allocator) {}

  [[nodiscard]] bool operator==(const MapEntry&) const = default;

  K first;  ///< not to be changed while it is in a map
  V second;
};

/// As `std::map`, but a vector of entries sorted by their keys: one block of memory, quick to
/// search and to read, and for a reader to check. Inserting and erasing take time proportional to
/// its size, and invalidate iterators. `Compare` has no state; the default takes whatever compares
/// with a key, so that text finds a `String`.
template <typename K, typename V, typename Compare = std::less<>>
class Map {
  static_assert(std::is_empty_v<Compare>, "sluice: the comparison of a map has no state");

 public:
  using key_type = K;
  using mapped_type = V;
  using value_type = MapEntry<K, V>;
  using size_type = std::size_t;
  using iterator = value_type*;
  using const_iterator = const value_type*;

  Map() noexcept = default;
  explicit Map(const Allocator<>& allocator) noexcept : entries_(allocator) {}
  Map(std::initializer_list<value_type> entries, const Allocator<>& allocator = {})
      : entries_(allocator) {
    for (const value_type& entry : entries) insert(entry);
  }
  Map(const Map&) = default;
  Map(Map&&) noexcept = default;
  Map(const Map& other, const Allocator<>& allocator) : entries_(other.entries_, allocator) {}
  Map(Map&& other, const Allocator<>& allocator) : entries_(std::move(other.entries_), allocator) {}
  ~Map() { static_assert(require_element<K>() && require_element<V>()); }
  Map& operator=(const Map&) = default;
  Map& operator=(Map&&) = default;

  [[nodiscard]] Allocator<> get_allocator() const noexcept { return entries_.get_allocator(); }
  [[nodiscard]] iterator begin() noexcept { return entries_.begin(); }
  [[nodiscard]] const_iterator begin() const noexcept { return entries_.begin(); }
  [[nodiscard]] iterator end() noexcept { return entries_.end(); }
  [[nodiscard]] const_iterator end() const noexcept { return entries_.end(); }
  [[nodiscard]] size_type size() const noexcept { return entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  void reserve(size_type count) { entries_.reserve(count); }
  void clear() noexcept { entries_.clear(); }
  void swap(Map& other) { entries_.swap(other.entries_); }
  friend void swap(Map& a, Map& b) { a.swap(b); }

  template <typename Key>
  [[nodiscard]] iterator lower_bound(const Key& key) {
    return begin() + (std::as_const(*this).lower_bound(key) - begin());
  }
  template <typename Key>
  [[nodiscard]] const_iterator lower_bound(const Key& key) const {
    return std::lower_bound(begin(), end(), key, [](const value_type& entry, const Key& wanted) {
      return Compare{}(entry.first, wanted);
    });
  }
  template <typename Key>
  [[nodiscard]] iterator find(const Key& key) {
    return begin() + (std::as_const(*this).find(key) - begin());
  }
  template <typename Key>
  [[nodiscard]] const_iterator find(const Key& key) const {
    const const_iterator at = lower_bound(key);
    return is_at(at, key) ? at : end();
  }
  template <typename Key>
  [[nodiscard]] bool contains(const Key& key) const {
    return find(key) != end();
  }
  template <typename Key>
  [[nodiscard]] size_type count(const Key& key) const {
    return contains(key) ? 1 : 0;
  }
  template <typename Key>
  [[nodiscard]] V& at(const Key& key) {
    return const_cast<V&>(std::as_const(*this).at(key));
  }
  template <typename Key>
  [[nodiscard]] const V& at(const Key& key) const {
    const const_iterator entry = find(key);
    if (entry == end()) raise_out_of_range("a key is not in a sluice::Map");
    return entry->second;
  }
  template <typename Key>
  V& operator[](Key&& key) {
    return try_emplace(std::forward<Key>(key)).first->second;
  }

  /// The entry of that key, and whether it is new; then its value is `V(args…)`.
  template <typename Key, typename... Args>
  std::pair<iterator, bool> try_emplace(Key&& key, Args&&... args) {
    const iterator at = lower_bound(key);
    if (is_at(at, key)) return {at, false};
    return {entries_.emplace(at, std::forward<Key>(key),
                             make_in<V>(get_allocator(), std::forward<Args>(args)...)),
            true};
  }
  template <typename Key, typename Value>
  std::pair<iterator, bool> emplace(Key&& key, Value&& value) {
    return try_emplace(std::forward<Key>(key), std::forward<Value>(value));
  }
  std::pair<iterator, bool> insert(const value_type& entry) {
    return try_emplace(entry.first, entry.second);
  }
  std::pair<iterator, bool> insert(value_type&& entry) {
    return try_emplace(std::move(entry.first), std::move(entry.second));
  }
  template <typename Key, typename Value>
  std::pair<iterator, bool> insert_or_assign(Key&& key, Value&& value) {
    const iterator at = lower_bound(key);
    if (!is_at(at, key)) return try_emplace(std::forward<Key>(key), std::forward<Value>(value));
    at->second = std::forward<Value>(value);
    return {at, false};
  }
  iterator erase(iterator position) { return entries_.erase(position); }
  iterator erase(const_iterator position) { return entries_.erase(position); }
  iterator erase(const_iterator first, const_iterator last) { return entries_.erase(first, last); }
  template <typename Key>
  size_type erase(const Key& key) {
    const iterator at = find(key);
    if (at == end()) return 0;
    entries_.erase(at);
    return 1;
  }

  [[nodiscard]] bool operator==(const Map&) const = default;

 private:
  template <typename Key>
  [[nodiscard]] bool is_at(const_iterator at, const Key& key) const {
    return at != end() && !Compare{}(key, at->first);
  }

  Vector<value_type> entries_;
};

}  // namespace sluice
