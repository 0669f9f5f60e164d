// SPDX-License-Identifier: Apache-2.0
//
// An owner's slots and a peer's view of them, at their own level: no service, no port. What the
// owner's file says is changed here as a broken or hostile owner would change it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/platform/root.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/temporary_root.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

struct Words {
  FileHeader header;
  SlotTable table;
  std::atomic<std::uint64_t> slots;
};

const PayloadLayout kPlain{.bytes = 40, .alignment = 8};
const PayloadLayout kSlices{
    .bytes = 4, .alignment = 4, .shape = PayloadShape::slice, .heap_bytes = 16 * kMiB};

/// An owner with its file, and that file as a peer has mapped it.
struct Owner {
  explicit Owner(const PayloadLayout& payload, std::uint64_t reserved_bytes = 16 * kMiB)
      : layout(payload),
        directory(make_domain_directory(resolve({}).value(), "segments").value()),
        file(
            SharedFile::create(directory, 0600, FileKind::segment, 0, sizeof(Words), reserved_bytes)
                .value()),
        pool(SlotPool::create(file, words().table, sizeof(Words), layout).value()) {
    file.link(directory, "owner").value();
    peer = SharedFile::open(directory, "owner", FileKind::segment, sizeof(Words)).value();
  }

  Words& words() { return *file.region().at<Words>(0); }

  /// Adds slots up to `slots` and has peers know of them.
  Result<void> grow(std::uint32_t slots) {
    while (pool.size() < slots) {
      if (auto added = pool.add_slot(); !added) return added;
    }
    // release: pairs with the acquire in `PeerSlots`.
    words().slots.store(pool.size(), std::memory_order_release);
    return {};
  }

  /// The word of the table that holds the offset of `slot`.
  std::uint64_t& offset_of(std::uint32_t slot) {
    const auto chunk = SlotTable::chunk_of(slot);
    const std::uint64_t offsets = words().table.chunks[chunk].load(std::memory_order_relaxed);
    return file.region().at<std::uint64_t>(offsets)[SlotTable::index_in_chunk(slot)];
  }
  SliceWords& slice_in(std::uint32_t slot) {
    return *reinterpret_cast<SliceWords*>(pool.payload(slot));
  }

  PeerSlots view() {
    const auto& seen = *peer.region().at<const Words>(0);
    return {peer, seen.table, seen.slots, layout};
  }
  /// Why a peer that comes now refuses the owner.
  Errc refusal() {
    PeerSlots slots = view();
    return slots.connect().error();
  }

  TemporaryRoot root;
  PayloadLayout layout;
  Directory directory;
  SharedFile file;
  SlotPool pool;
  SharedFile peer;
};

TEST(SlotPool, SlotsStayWhereTheyAreWhileMoreAreAdded) {
  Owner owner(kPlain);
  owner.grow(10).value();
  std::vector<std::byte*> before;
  for (std::uint32_t slot = 0; slot < 10; ++slot) before.push_back(owner.pool.payload(slot));
  owner.grow(1000).value();
  EXPECT_EQ(owner.pool.size(), 1000U);
  for (std::uint32_t slot = 0; slot < 10; ++slot) EXPECT_EQ(owner.pool.payload(slot), before[slot]);
}

TEST(SlotPool, PayloadsAreAlignedAsTheirLayoutSays) {
  for (std::uint64_t alignment = 1; alignment <= kMaxPayloadAlignment; alignment *= 2) {
    Owner owner({.bytes = 40, .alignment = alignment});
    owner.grow(3).value();
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(owner.pool.payload(slot)) % alignment, 0U);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(owner.pool.header(slot)) % 8, 0U);
    }
  }
}

TEST(SlotPool, GrowthThatFailsLeavesTheSlotsThatAreThere) {
  Owner owner({.bytes = 1000, .alignment = 8}, kMiB / 4);
  const auto failed = owner.grow(100'000);
  EXPECT_EQ(failed.error(), Errc::no_address_space);
  const std::uint32_t slots = owner.pool.size();
  EXPECT_GT(slots, 64U);
  EXPECT_EQ(owner.pool.add_slot().error(), Errc::no_address_space);
  ASSERT_EQ(owner.pool.size(), slots);
  owner.grow(slots).value();
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    std::memset(owner.pool.payload(slot), static_cast<int>(slot), 1000);
  }
  PeerSlots peer = owner.view();
  peer.connect().value();
  ASSERT_EQ(peer.size(), slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    EXPECT_EQ(peer.payload(slot).data[999], static_cast<std::byte>(slot)) << slot;
  }
}

TEST(SlotPool, ASliceKeepsItsBlockWhereItIsLargeEnough) {
  Owner owner(kSlices);
  owner.grow(1).value();
  std::byte* const first = owner.pool.resize(0, 1000).value();
  EXPECT_EQ(owner.pool.resize(0, 10).value(), first);
  EXPECT_EQ(owner.slice_in(0).count, 10U);
  EXPECT_EQ(owner.pool.resize(0, 1000).value(), first);
}

TEST(SlotPool, ASliceThatCannotGrowCanBeMadeSmallerAgain) {
  Owner owner(kSlices, kMiB);
  owner.grow(2).value();
  (void)owner.pool.resize(0, 1000).value();
  EXPECT_EQ(owner.pool.resize(0, kMiB / 4 - 1).error(), Errc::no_address_space);
  EXPECT_EQ(owner.pool.resize(0, UINT64_MAX).error(), Errc::no_address_space);
  std::memset(owner.pool.resize(0, 2000).value(), 0x5a, 8000);
  PeerSlots peer = owner.view();
  peer.connect().value();
  const auto payload = peer.payload(0);
  EXPECT_EQ(payload.count, 2000U);
  EXPECT_EQ(payload.data[7999], std::byte{0x5a});
}

TEST(SlotPool, BlocksOfSlicesAreGivenUpWhereMemoryIsShort) {
  Owner owner(kSlices, kMiB);
  owner.grow(2).value();
  owner.pool.when_short([&] {
    const Slot unread[] = {0};
    return owner.pool.release_blocks(unread);
  });
  (void)owner.pool.resize(0, 150'000).value();
  (void)owner.pool.resize(1, 150'000).value();
  EXPECT_EQ(owner.slice_in(0).offset, 0U);
  EXPECT_EQ(owner.slice_in(0).count, 0U);
}

TEST(SlotPool, SlicesHaveNoMoreThanTheHeapBytesTogether) {
  PayloadLayout layout = kSlices;
  layout.heap_bytes = 4000;
  Owner owner(layout);
  owner.grow(4).value();
  (void)owner.pool.resize(0, 500).value();
  EXPECT_EQ(owner.pool.resize(1, 501).error(), Errc::no_address_space);
  (void)owner.pool.resize(1, 500).value();
  const auto refused = owner.pool.resize(2, 17);
  ASSERT_EQ(refused.error(), Errc::no_address_space);
  EXPECT_EQ(refused.failure().message,
            "cannot allocate 68 bytes: 4000 of 4000 bytes are in use; raise heap_bytes");
  (void)owner.pool.resize(2, 16).value();  // a line is a part of the slot
  (void)owner.pool.resize(3, 0).value();
  const Slot freed[] = {Slot(0)};
  owner.pool.release_blocks(freed);
  (void)owner.pool.resize(2, 500).value();
  EXPECT_EQ(owner.pool.resize(0, 17).error(), Errc::no_address_space);
  EXPECT_EQ(owner.pool.resize(0, 1001).error(), Errc::no_address_space);
  // Slots are not limited by it.
  owner.grow(200).value();
}

/// Headers, slots and blocks begin at multiples of a cache line.
TEST(SlotPool, WordsAreAlignedWhateverThePayloadsAlignment) {
  for (const std::uint64_t bytes : {1U, 3U, 7U, 63U}) {
    for (const auto shape : {PayloadShape::plain, PayloadShape::slice, PayloadShape::dynamic}) {
      TemporaryRoot root;
      Owner owner({.bytes = bytes,
                   .alignment = 1,
                   .shape = shape,
                   .heap_bytes = kMiB,
                   .destroy = [](void*) {}});
      owner.grow(70).value();
      for (std::uint32_t slot = 0; slot < 70; ++slot) {
        const auto is_aligned = [](const void* at) {
          return reinterpret_cast<std::uintptr_t>(at) % 8 == 0;
        };
        EXPECT_TRUE(is_aligned(owner.pool.header(slot)));
        EXPECT_TRUE(is_aligned(owner.pool.payload(slot)));
        if (shape == PayloadShape::slice) {
          EXPECT_TRUE(is_aligned(owner.pool.resize(slot, slot).value()));
        }
      }
    }
  }
}

TEST(SlotPool, DestroysWhatWasBuiltOnce) {
  static int destroyed;
  destroyed = 0;
  Owner owner({.bytes = 40, .alignment = 8, .shape = PayloadShape::dynamic, .destroy = [](void*) {
                 ++destroyed;
               }});
  owner.grow(2).value();
  const Slot slots[] = {0, 1};
  EXPECT_FALSE(owner.pool.release_blocks(slots));
  EXPECT_EQ(destroyed, 0);
  owner.pool.place(0).set_built();
  EXPECT_TRUE(owner.pool.release_blocks(slots));
  EXPECT_FALSE(owner.pool.release_blocks(slots));
  EXPECT_EQ(destroyed, 1);
  owner.pool.place(1).set_built();
  EXPECT_FALSE(owner.pool.place(1).prepare().is_private());
  EXPECT_EQ(destroyed, 2) << "before the next one is built";
}

TEST(PeerSlots, SeesSlotsThatAreAddedLaterAndWhatIsInThem) {
  Owner owner(kPlain);
  PeerSlots peer = owner.view();
  peer.connect().value();
  EXPECT_EQ(peer.size(), 0U);
  owner.grow(20'000).value();  // far beyond what the peer has mapped
  std::memset(owner.pool.payload(19'999), 0x77, 40);
  EXPECT_EQ(peer.peek(19'999), nullptr);
  const auto payload = peer.payload(19'999);
  ASSERT_NE(payload.data, nullptr) << peer.failure().message;
  EXPECT_EQ(payload.data[39], std::byte{0x77});
  EXPECT_EQ(peer.peek(19'999), payload.data);
}

TEST(PeerSlots, RefusesASlotThatTheOwnerDoesNotHave) {
  Owner owner(kPlain);
  owner.grow(3).value();
  PeerSlots peer = owner.view();
  peer.connect().value();
  for (const std::uint32_t slot : {3U, 64U, 1'000'000'000U, UINT32_MAX}) {
    EXPECT_EQ(peer.payload(slot).data, nullptr) << slot;
  }
  EXPECT_EQ(peer.failure().code, Errc::corrupted);
  EXPECT_NE(peer.payload(2).data, nullptr);
}

TEST(PeerSlots, RefusesPayloadsThatAreNotWhatItExpects) {
  Owner owner(kPlain);
  owner.grow(1).value();
  EXPECT_EQ(owner.refusal(), Errc::ok);
  SlotTable& table = owner.words().table;
  table.payload_bytes = 39;
  EXPECT_EQ(owner.refusal(), Errc::corrupted);
  table.payload_bytes = 40;
  table.payload_alignment = 16;
  EXPECT_EQ(owner.refusal(), Errc::corrupted);
  table.payload_alignment = 8;
  table.payload_offset = 24;
  EXPECT_EQ(owner.refusal(), Errc::corrupted);
  table.payload_offset = 16;
  table.shape = PayloadShape::slice;
  EXPECT_EQ(owner.refusal(), Errc::corrupted);
  table.shape = PayloadShape::plain;
  EXPECT_EQ(owner.refusal(), Errc::ok);
}

TEST(PeerSlots, RefusesATableOutsideTheFileOrMisaligned) {
  Owner owner(kPlain);
  owner.grow(1).value();
  auto& chunk = owner.words().table.chunks[0];
  const std::uint64_t right = chunk.load(std::memory_order_relaxed);
  const std::uint64_t end = owner.file.region().mapped_bytes();
  for (const std::uint64_t wrong : {right + 4, end - 504, end, end + 8, UINT64_MAX - 7}) {
    chunk.store(wrong, std::memory_order_relaxed);
    EXPECT_EQ(owner.refusal(), Errc::corrupted) << wrong;
  }
  chunk.store(right, std::memory_order_relaxed);
  EXPECT_EQ(owner.refusal(), Errc::ok);
}

/// Misaligned for the words in front of the payload, whatever the payload's alignment.
struct MisalignedSlots : testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(OfAlignment, MisalignedSlots, testing::Values(1, 8));

TEST_P(MisalignedSlots, AndThoseOutsideTheFileAreRefused) {
  Owner owner({.bytes = 40, .alignment = GetParam()});
  owner.grow(70).value();  // two chunks
  const std::uint64_t end = owner.file.region().mapped_bytes();
  for (const std::uint32_t slot : {0U, 63U, 64U, 69U}) {
    const std::uint64_t right = owner.offset_of(slot);
    for (const std::uint64_t wrong :
         {right + 1, right + 8, right + 32, end, end - 48, UINT64_MAX - 63, UINT64_MAX}) {
      owner.offset_of(slot) = wrong;
      EXPECT_EQ(owner.refusal(), Errc::corrupted) << slot << " at " << wrong;
    }
    owner.offset_of(slot) = right;
  }
  EXPECT_EQ(owner.refusal(), Errc::ok);
}

TEST(PeerSlots, RefusesMoreSlotsThanThereAre) {
  Owner owner(kPlain);
  owner.grow(10).value();
  for (const std::uint64_t wrong :
       {std::uint64_t{1} << 26, std::uint64_t{1} << 32, std::uint64_t{1} << 40, UINT64_MAX}) {
    owner.words().slots.store(wrong, std::memory_order_release);
    EXPECT_EQ(owner.refusal(), Errc::corrupted) << wrong;
  }
}

TEST(PeerSlots, FewerSlotsThanBeforeTakeNothingAway) {
  Owner owner(kPlain);
  owner.grow(10).value();
  PeerSlots peer = owner.view();
  peer.connect().value();
  owner.words().slots.store(0, std::memory_order_release);
  EXPECT_EQ(peer.payload(10).data, nullptr);
  EXPECT_NE(peer.payload(9).data, nullptr);
}

TEST(PeerSlots, RefusesASliceOutsideTheFileOrMisaligned) {
  Owner owner(kSlices);
  owner.grow(1).value();
  (void)owner.pool.resize(0, 100).value();
  const SliceWords right = owner.slice_in(0);
  const std::uint64_t end = owner.file.region().mapped_bytes();
  const SliceWords wrong[] = {{right.offset + 1, 100},
                              {right.offset, end / 4},
                              {end, 1},
                              {end - 4, 2},
                              {UINT64_MAX - 3, 1},
                              {right.offset, UINT64_MAX},
                              {right.offset, 1U << 30},
                              {right.offset, (UINT64_MAX >> 2) + 2}};
  PeerSlots peer = owner.view();
  peer.connect().value();
  for (const SliceWords& words : wrong) {
    owner.slice_in(0) = words;
    EXPECT_EQ(peer.payload(0).data, nullptr) << words.count << " at " << words.offset;
    EXPECT_EQ(peer.failure().code, Errc::corrupted);
  }
  owner.slice_in(0) = right;
  EXPECT_EQ(peer.payload(0).count, 100U);
}

TEST(PeerSlots, AnOwnerThatChangesASliceDuringTheLookLeadsNobodyOutside) {
  if (kThreadSanitizer) GTEST_SKIP() << "the race is the owner's, and is reported";
  Owner owner(kSlices);
  owner.grow(1).value();
  (void)owner.pool.resize(0, 100).value();
  const SliceWords right = owner.slice_in(0);
  PeerSlots peer = owner.view();
  peer.connect().value();
  std::atomic<bool> done{false};
  std::thread hostile([&] {
    std::atomic_ref<std::uint64_t> offset(owner.slice_in(0).offset);
    std::atomic_ref<std::uint64_t> count(owner.slice_in(0).count);
    // relaxed, all: nothing is handed on.
    while (!done.load(std::memory_order_relaxed)) {
      offset.store(owner.file.region().reserved_bytes() - 4, std::memory_order_relaxed);
      offset.store(right.offset, std::memory_order_relaxed);
      count.store(UINT64_MAX / 4, std::memory_order_relaxed);
      count.store(right.count, std::memory_order_relaxed);
    }
  });
  const Region& region = owner.peer.region();
  int outside = 0;
  for (int i = 0; i < 300'000; ++i) {
    const auto payload = peer.payload(0);
    if (payload.data == nullptr) continue;
    const auto offset = static_cast<std::uint64_t>(payload.data - region.data());
    if (payload.count > 100 || !region.contains(offset, payload.count * 4)) ++outside;
  }
  done.store(true, std::memory_order_relaxed);
  hostile.join();
  EXPECT_EQ(outside, 0);
}

TEST(PeerSlots, LooksIntoADynamicPayloadBeforeItIsRead) {
  static bool is_sound;
  is_sound = false;
  Owner owner({.bytes = 40,
               .alignment = 8,
               .shape = PayloadShape::dynamic,
               .check = [](const void*, const std::byte*, std::size_t) { return is_sound; }});
  owner.grow(1).value();
  PeerSlots peer = owner.view();
  peer.connect().value();
  EXPECT_EQ(peer.payload(0).data, nullptr);
  EXPECT_EQ(peer.failure().code, Errc::corrupted);
  is_sound = true;
  EXPECT_NE(peer.payload(0).data, nullptr);
}

}  // namespace
}  // namespace sluice
