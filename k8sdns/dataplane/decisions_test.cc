#include "k8sdns/dataplane/decisions.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/random/bit_gen_ref.h"
#include "gtest/gtest.h"

namespace k8sdns::dataplane {
namespace {

constexpr uint32_t kOne = uint32_t{1} << 31;

// As kube-proxy writes them for so many endpoints: the last needs none.
std::vector<uint32_t> EqualShares(uint32_t endpoints) {
  std::vector<uint32_t> numerators;
  for (uint32_t left = endpoints; left > 1; --left) {
    numerators.push_back(kOne / left);
  }
  return numerators;
}

uint32_t TryInTurn(const std::vector<uint32_t>& numerators,
                   Decisions& decisions) {
  uint32_t i = 0;
  while (i < numerators.size() && !decisions.Chance(numerators[i])) ++i;
  return i;
}

TEST(Decisions, AListIsWhatItsChancesComeToInTurn) {
  std::mt19937_64 random(1);
  std::vector<std::vector<uint32_t>> lists = {
      {},
      {0},
      {kOne},
      {5, 0, 7},
      {1, kOne, 3},
      {kOne - 1},
      {1},
      {kOne / 2, kOne / 1000, kOne / 10 * 9},
      EqualShares(2),
      EqualShares(10),
      EqualShares(1000),
      // So unlikely to be passed that the range gets narrow.
      {kOne - 1, kOne - 1, kOne - 1},
  };
  for (int i = 0; i < 50; ++i) {
    std::vector<uint32_t>& list = lists.emplace_back();
    for (uint64_t n = random() % 20; n > 0; --n) {
      list.push_back(static_cast<uint32_t>(random()) >> random() % 32);
    }
  }
  for (const auto& numerators : lists) {
    const ChanceList list(numerators);
    ASSERT_EQ(list.count(), numerators.size());
    for (int run = 0; run < 1000; ++run) {
      std::mt19937_64 one(run);
      std::mt19937_64 other(run);
      Decisions a{absl::BitGenRef(one)};
      Decisions b{absl::BitGenRef(other)};
      // After none and after some other draws.
      for (int before = run % 3; before > 0; --before) {
        ASSERT_EQ(a.Chance(kOne / 3), b.Chance(kOne / 3));
      }
      ASSERT_EQ(a.FirstChance(list), TryInTurn(numerators, b));
      // What is drawn next is the same, too.
      for (int next = 0; next < 3; ++next) {
        ASSERT_EQ(a.Chance(kOne / 5), b.Chance(kOne / 5));
      }
      ASSERT_EQ(one(), other());
    }
  }
}

// Draws so often, and compares how often each possibility came with what is
// expected, as a chi-squared test does.
double ChiSquared(const std::vector<uint64_t>& seen,
                  const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < seen.size(); ++i) {
    const double off = static_cast<double>(seen[i]) - expected[i];
    sum += off * off / expected[i];
  }
  return sum;
}

TEST(Decisions, EndpointsAreEquallyLikely) {
  constexpr uint32_t kEndpoints = 10;
  constexpr int kDraws = 1'000'000;
  const ChanceList list(EqualShares(kEndpoints));
  std::mt19937_64 random(7);
  std::vector<uint64_t> seen(kEndpoints);
  for (int i = 0; i < kDraws; ++i) {
    Decisions decisions{absl::BitGenRef(random)};
    ++seen[decisions.FirstChance(list)];
  }
  // 9 degrees of freedom: more is seen once in 10,000 times.
  EXPECT_LT(ChiSquared(seen, std::vector<double>(kEndpoints,
                                                 double{kDraws} / kEndpoints)),
            33.7);
}

TEST(Decisions, ChancesOfOneRunAreIndependent) {
  constexpr int kChances = 40;  // far more than the bits of one draw
  constexpr int kRuns = 200'000;
  std::mt19937_64 random(3);
  std::vector<uint64_t> seen(kChances);
  // Pairs of chances that follow each other: neither, one, the other, both.
  std::vector<uint64_t> pairs(4);
  for (int run = 0; run < kRuns; ++run) {
    Decisions decisions{absl::BitGenRef(random)};
    bool before = false;
    for (int i = 0; i < kChances; ++i) {
      const bool now = decisions.Chance(kOne / 4);
      seen[i] += now;
      if (i > 0) ++pairs[before * 2 + now];
      before = now;
    }
  }
  for (uint64_t count : seen) {
    const double sigma = std::sqrt(kRuns * 0.25 * 0.75);
    EXPECT_NEAR(static_cast<double>(count), kRuns * 0.25, 5 * sigma);
  }
  const double all = double{kRuns} * (kChances - 1);
  // Overlapping pairs vary a little more than draws of their own.
  EXPECT_LT(
      ChiSquared(pairs, {all * 9 / 16, all * 3 / 16, all * 3 / 16, all / 16}),
      30);
}

TEST(Decisions, AllOutcomesOfAListAddUpToOne) {
  const ChanceList list(EqualShares(10));
  Decisions decisions;
  double sum = 0;
  std::vector<int> seen(10);
  do {
    ++seen[decisions.FirstChance(list)];
    EXPECT_NEAR(decisions.probability(), 0.1, 1e-8);
    sum += decisions.probability();
  } while (decisions.Next());
  EXPECT_DOUBLE_EQ(sum, 1);
  EXPECT_EQ(seen, std::vector<int>(10, 1));
}

}  // namespace
}  // namespace k8sdns::dataplane
