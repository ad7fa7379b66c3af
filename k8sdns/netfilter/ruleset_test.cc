#include "k8sdns/netfilter/ruleset.h"

#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::netfilter {
namespace {

using ::testing::ElementsAre;

RuleBuilder Mark(uint32_t value) {
  RuleBuilder b;
  b.Add(MarkTarget{{}, value, 0xffffffff});
  return b;
}

std::vector<uint32_t> Marks(const Table& table, ChainId chain) {
  std::vector<uint32_t> out;
  for (RuleView rule : table.rules(chain)) {
    out.push_back(rule.Get<MarkTarget>()->value);
  }
  return out;
}

TEST(RuleTest, OpsComeBackAsTheyWereAdded) {
  DestinationMatch d{ToAddressMask(*IpPrefix::Parse("10.96.0.10/32"))};
  TcpMatch tcp;
  tcp.flags = kHasDestinationPort;
  tcp.destination = {53, 53};
  RuleBuilder b;
  b.Add(d).Add(tcp).Add(JumpTarget{7});

  std::vector<OpKind> kinds;
  for (OpView op : b.view().ops()) kinds.push_back(op.kind());
  EXPECT_THAT(kinds,
              ElementsAre(OpKind::kDestination, OpKind::kTcp, OpKind::kJump));
  const TcpMatch back = *b.view().Get<TcpMatch>();
  EXPECT_EQ(back.flags, kHasDestinationPort);
  EXPECT_EQ(+back.destination.first, 53);
  EXPECT_EQ(+back.source.last, 0);
  EXPECT_EQ(b.view().target()->As<JumpTarget>().chain, 7u);
  EXPECT_FALSE(b.view().Get<UdpMatch>());
}

TEST(RuleTest, AFullOpAndAnEmptyOneSurvive) {
  ConntrackMatch ct;
  ct.given = kCtState;
  ct.addresses[3].mask[3] = 0x01020304;
  RuleBuilder b;
  b.Add(ct).Add(AcceptTarget{});
  EXPECT_EQ(b.view().Get<ConntrackMatch>()->addresses[3].mask[3], 0x01020304u);
  EXPECT_EQ(b.view().target()->kind(), OpKind::kAccept);
}

TEST(TableTest, ChainsGrowInAnyOrder) {
  Ruleset rules(IpFamily::kIpv4);
  Table& t = rules.AddTable(TableId::kMangle);
  const ChainId a = t.AddChain("A");
  const ChainId b = t.AddChain("B");
  for (uint32_t i = 0; i < 100; ++i) {
    t.Append(a, Mark(i));
    t.Append(b, Mark(1000 + i));
  }
  t.Insert(a, 1, Mark(77).view());
  t.Erase(a, 0);
  EXPECT_EQ(t.rule_count(a), 100u);
  EXPECT_EQ(t.rule_count(b), 100u);
  for (bool compact : {false, true}) {
    if (compact) t.Compact();
    EXPECT_EQ(Marks(t, a)[0], 77u);
    EXPECT_EQ(Marks(t, a)[99], 99u);
    EXPECT_EQ(Marks(t, b)[99], 1099u);
  }
}

TEST(TableTest, ChainsAreFoundRemovedAndSorted) {
  Ruleset rules(IpFamily::kIpv4);
  Table& t = rules.AddTable(TableId::kNat);
  for (auto name : {"Z", "OUTPUT", "A", "PREROUTING"}) t.AddChain(name);
  EXPECT_EQ(t.AddChain("A"), t.FindChain("A"));
  EXPECT_EQ(t.FindChain(Hook::kOutput), t.FindChain("OUTPUT"));
  EXPECT_FALSE(t.FindChain("nowhere"));
  t.SortChains();
  t.RemoveChain(*t.FindChain("A"));
  std::string names;
  for (ChainId id : t.chains()) absl::StrAppend(&names, t.name(id), " ");
  EXPECT_EQ(names, "PREROUTING OUTPUT Z ");
  EXPECT_FALSE(t.FindChain("A"));
}

TEST(RulesetTest, ACloneIsItsOwn) {
  Ruleset rules(IpFamily::kIpv4);
  Table& t = rules.AddTable(TableId::kFilter);
  t.Append(t.AddChain("INPUT"), Mark(1));
  Ruleset copy = rules.Clone();
  copy.table(TableId::kFilter)->AddChain("NEW");
  EXPECT_EQ(t.chain_count(), 1u);
  EXPECT_EQ(copy.rule_count(), 1u);
  EXPECT_EQ(rules.table(TableId::kNat), nullptr);
}

TEST(StringPoolTest, LookupsInStepsAreLookups) {
  StringPool pool;
  std::map<std::string, StringId> ids;
  std::mt19937 random(1);
  struct Ahead {
    std::string text;
    uint64_t hash;
    StringId candidate;
  };
  std::deque<Ahead> ahead;  // steps taken before other texts were interned
  for (int i = 0; i < 60'000; ++i) {
    Ahead next;
    next.text = absl::StrCat(std::string(random() % 40, 'x'), "-",
                             random() % 4'000 * (random() % 2));
    next.hash = pool.Hash(next.text);
    pool.PrefetchSlot(next.hash);
    next.candidate = pool.Candidate(next.hash);
    pool.PrefetchText(next.candidate);
    ahead.push_back(next);
    if (ahead.size() < 8) continue;
    const Ahead& now = ahead.front();
    const auto known = ids.find(now.text);
    ASSERT_EQ(pool.Find(now.text, now.hash, now.candidate),
              known == ids.end() ? 0 : known->second);
    bool added;
    // A candidate of another text does no harm.
    const StringId candidate = random() % 8 == 0
                                   ? StringId{static_cast<uint32_t>(random())} %
                                         static_cast<uint32_t>(pool.size())
                                   : now.candidate;
    const StringId id = pool.Intern(now.text, now.hash, candidate, &added);
    ASSERT_EQ(added, known == ids.end());
    ASSERT_EQ(pool.Get(id), now.text);
    ASSERT_EQ(ids.emplace(now.text, id).first->second, id);
    ASSERT_EQ(pool.Intern(now.text), id);
    ahead.pop_front();
  }
  EXPECT_EQ(pool.size(), ids.size() + 1);  // with ""
}

TEST(StringPoolTest, EqualTextsHaveEqualIds) {
  StringPool pool;
  EXPECT_EQ(pool.Intern(""), 0u);
  std::vector<StringId> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(pool.Intern(absl::StrCat(i)));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(pool.Intern(absl::StrCat(i)), ids[i]);
    EXPECT_EQ(pool.Get(ids[i]), absl::StrCat(i));
  }
  bool found = true;
  pool.Find("1000", &found);
  EXPECT_FALSE(found);
}

TEST(Table, ChainsAreFoundByNameThroughChanges) {
  Ruleset rules(IpFamily::kIpv4);
  rules.strings().Intern("a comment");
  Table& nat = rules.AddTable(TableId::kNat);
  Table& filter = rules.AddTable(TableId::kFilter);
  const ChainId a = nat.AddChain("A");
  const ChainId b = nat.AddChain("B");
  const ChainId c = filter.AddChain("C");
  EXPECT_EQ(nat.FindChain("A"), a);
  EXPECT_EQ(nat.FindChain("C"), std::nullopt);  // a text, but another table's
  EXPECT_EQ(nat.FindChain("a comment"), std::nullopt);
  EXPECT_EQ(filter.FindChain("C"), c);
  nat.RenameChain(a, "D");
  EXPECT_EQ(nat.FindChain("A"), std::nullopt);
  EXPECT_EQ(nat.FindChain("D"), a);
  nat.RemoveChain(b);
  EXPECT_EQ(nat.FindChain("B"), std::nullopt);
  const ChainId again = nat.AddChain("B");
  EXPECT_NE(again, b);
  EXPECT_EQ(nat.FindChain("B"), again);
  nat.Reserve(10, 100);
  rules.Compact();
  EXPECT_EQ(nat.FindChain("D"), a);
}

}  // namespace
}  // namespace k8sdns::netfilter
