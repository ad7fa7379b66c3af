#include "k8sdns/cluster/object_arena.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/shared_text.h"
#include "k8sdns/cluster/snapshot.h"

namespace k8sdns {
namespace {

constexpr char kLong[] = "a text that does not fit into the object itself";

// Memory errors and leaks are for AddressSanitizer to find.

TEST(ObjectArena, GivesBlocksWithRoom) {
  ObjectArena arena(/*in_use=*/true);
  ArenaBlock* const first = arena.BlockFor(100);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(arena.BlockFor(100), first);
  const ArenaHold hold(first);  // or the next one could have its address
  // Parts do not overlap, are aligned, and lie in the block.
  const void* last = nullptr;
  while (ArenaBlock* const block = arena.BlockFor(1000)) {
    if (block != first) break;
    void* const part = block->Take(1000, 16);
    ASSERT_NE(part, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(part) % 16, 0u);
    EXPECT_TRUE(block->Holds(part));
    if (last != nullptr) {
      EXPECT_GE(static_cast<char*>(part) - static_cast<const char*>(last),
                1000);
    }
    last = part;
  }
  EXPECT_EQ(arena.BlockFor(ArenaBlock::kSize), nullptr) << "too large";
  EXPECT_EQ(ObjectArena(/*in_use=*/false).BlockFor(1), nullptr);
}

TEST(ObjectArena, AFullBlockGivesNothing) {
  ArenaBlock* const block = ArenaBlock::Make();
  ASSERT_NE(block, nullptr);
  const size_t left = block->left();
  EXPECT_EQ(block->Take(left + 1, 1), nullptr);
  EXPECT_EQ(block->Take(SIZE_MAX, 1), nullptr);
  EXPECT_NE(block->Take(left, 1), nullptr);
  EXPECT_EQ(block->Take(1, 1), nullptr);
  const int other = 0;
  EXPECT_FALSE(block->Holds(&other));
  block->RemoveOwner();
}

TEST(ObjectArena, TextsKeepTheirBlock) {
  SharedText copy;
  SharedText moved;
  {
    ObjectArena arena(/*in_use=*/true);
    const SharedText text(kLong, arena);
    SharedText padded;
    padded.AssignPadded(absl::string_view(kLong, 20), arena);
    copy = text;
    moved = std::move(padded);
    EXPECT_EQ(text, kLong);
    EXPECT_EQ(text, SharedText(kLong)) << "wherever it lies";
  }
  EXPECT_EQ(copy, kLong);
  EXPECT_EQ(moved, absl::string_view(kLong, 20));
  copy = "another";
  EXPECT_EQ(copy, "another");
}

TEST(ObjectArena, PaddedTextsAreTexts) {
  ObjectArena arena(/*in_use=*/false);
  const std::string text = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (size_t size = 0; size + 16 <= text.size(); ++size) {
    const absl::string_view part(text.data(), size);
    for (const char* before : {"", "short", kLong}) {
      SharedText padded(before);
      padded.AssignPadded(part, arena);
      EXPECT_EQ(padded, SharedText(part));
      EXPECT_EQ(padded.view(), part);
    }
  }
}

TEST(ObjectArena, ListsKeepTheirBlock) {
  using List = std::vector<int, ArenaAllocator<int>>;
  List moved;
  List copy;
  List assigned;
  {
    ObjectArena arena(/*in_use=*/true);
    ArenaBlock* const block = arena.BlockFor(1000);
    List list{ArenaAllocator<int>(ArenaHold(block))};
    for (int i = 0; i < 100; ++i) list.push_back(i);
    EXPECT_TRUE(block->Holds(list.data()));
    copy = List(list);
    EXPECT_FALSE(block->Holds(List(list).data())) << "copies lie on the heap";
    assigned = list;
    EXPECT_FALSE(block->Holds(assigned.data()));
    moved = std::move(list);
    EXPECT_TRUE(block->Holds(moved.data()));
    // Beyond the block's end it goes on on the heap.
    List large{ArenaAllocator<int>(ArenaHold(block))};
    large.resize(ArenaBlock::kSize);
    EXPECT_FALSE(block->Holds(large.data()));
  }
  EXPECT_EQ(moved, copy);
  EXPECT_EQ(assigned, copy);
  moved.resize(1000);
  EXPECT_EQ(moved[99], 99);
}

// A cluster that is large enough for an arena, in which no two objects have the
// same sizes.
Cluster Large() {
  Cluster cluster;
  for (int i = 0; i < 150; ++i) {
    EndpointSlice slice;
    slice.metadata.namespace_ = "shop";
    slice.metadata.name = absl::StrCat("slice-", i);
    slice.metadata.uid = absl::StrCat("01234567-89ab-cdef-", i);
    slice.metadata.labels[kServiceNameLabel] = "web";
    for (int j = 0; j <= i; ++j) {
      Endpoint endpoint;
      endpoint.addresses = {absl::StrCat("10.0.", i, ".", j)};
      endpoint.node_name = absl::StrCat("node-with-a-long-name-", j);
      endpoint.target_ref = ObjectReference{
          "Pod", "shop", absl::StrCat("web-4f7c9d-", i, "-", j), kLong};
      slice.endpoints.push_back(endpoint);
    }
    cluster.Put(slice);
  }
  return cluster;
}

void ExpectSameAndFree(absl::StatusOr<Cluster> read, const Cluster& written) {
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(Difference(*read, written).size(), 0u);
  // What is left of a cluster stays as it is without the rest.
  const EndpointSlice& last =
      *read->endpoint_slices().Find("shop", "slice-149");
  const EndpointSlice copy = last;
  const SharedText text = last.endpoints[70].target_ref->name;
  std::vector<std::shared_ptr<const EndpointSlice>> some;
  for (auto it = read->endpoint_slices().begin();
       it != read->endpoint_slices().end(); ++it) {
    if (some.size() * 50 < read->endpoint_slices().size()) {
      some.push_back(it.shared());
    }
  }
  *read = Cluster();
  EXPECT_EQ(copy, *written.endpoint_slices().Find("shop", "slice-149"));
  EXPECT_EQ(text, "web-4f7c9d-149-70");
  for (const auto& slice : some) {
    EXPECT_EQ(*slice,
              *written.endpoint_slices().Find("shop", slice->metadata.name));
  }
}

TEST(ObjectArena, LargeFilesAreReadAsTheyWereWritten) {
  const Cluster cluster = Large();
  const std::string json = WriteJson(cluster);
  ASSERT_GT(json.size(), size_t{1} << 20);
  ExpectSameAndFree(ReadCluster(json, "large.json"), cluster);
  const std::string yaml = WriteYaml(cluster);
  ASSERT_GT(yaml.size(), size_t{1} << 20);
  ExpectSameAndFree(ReadCluster(yaml, "large.yaml"), cluster);
  const std::string bytes = *WriteSnapshot(cluster);
  ASSERT_GT(bytes.size(), size_t{1} << 20);
  ExpectSameAndFree(ReadSnapshot(bytes), cluster);
}

}  // namespace
}  // namespace k8sdns
