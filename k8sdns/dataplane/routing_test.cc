#include "k8sdns/dataplane/routing.h"

#include <array>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace k8sdns::dataplane {
namespace {

// The longest prefix of a list that holds an address; of equal ones the first
// of the lowest metric.
const Route* Longest(const std::vector<Route>& routes, uint32_t table,
                     const IpAddress& address) {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    if (route.table != table || !route.prefix.Contains(address)) continue;
    if (best == nullptr || route.prefix.length() > best->prefix.length() ||
        (route.prefix.length() == best->prefix.length() &&
         route.metric < best->metric)) {
      best = &route;
    }
  }
  return best;
}

Route To(const IpPrefix& prefix, const std::string& device, uint32_t metric) {
  Route route;
  route.prefix = prefix;
  route.device = device;
  route.metric = metric;
  return route;
}

// Whatever ForwardsPlainly() knows, Input() says as well.
TEST(Routing, PlainForwardingIsForwarding) {
  std::mt19937 random(8);
  size_t known = 0;
  for (int world = 0; world < 100; ++world) {
    NodeConfig node;
    node.interfaces.push_back({"a", {*IpPrefix::Parse("16.0.0.1/30")}});
    node.interfaces.push_back({"b", {*IpPrefix::Parse("240.0.0.1/4")}});
    node.interfaces.push_back({"c", {}});
    const auto address = [&] {
      if (random() % 8 == 0) return IpAddress::V4(~uint32_t{0});
      constexpr uint32_t kTops[] = {0, 1, 16, 126, 127, 128, 223, 224, 255};
      return IpAddress::V4(kTops[random() % 9] << 24 | random() % 8);
    };
    const bool many = world % 10 == 0;  // mostly hosts
    for (uint32_t i = random() % (many ? 200 : 12); i > 0; --i) {
      const uint32_t length = many && random() % 8 != 0 ? 32
                              : random() % 3 == 0       ? random() % 33
                                                        : random() % 9;
      Route route = To(IpPrefix(address(), static_cast<int>(length)).Masked(),
                       random() % 2 ? "b" : "c", 1);
      constexpr RouteType kTypes[] = {RouteType::kUnicast, RouteType::kUnicast,
                                      RouteType::kThrow, RouteType::kBlackhole};
      route.type = kTypes[random() % 4];
      if (random() % 3 == 0) route.table = kTableDefault;
      node.routes.push_back(route);
    }
    if (random() % 8 == 0) node.sysctls["net.ipv4.conf.all.rp_filter"] = 1;
    if (random() % 8 == 0) node.sysctls["net.ipv4.conf.all.forwarding"] = 0;
    const Routing routing(node);
    for (int i = 0; i < 400; ++i) {
      const IpAddress from = address();
      const IpAddress to = address();
      const auto in = static_cast<DeviceIndex>(2 + random() % 3);
      const DeviceIndex out = routing.ForwardsPlainly(from, to, in);
      if (out == kNoDevice) continue;
      ++known;
      const InputRoute route = routing.Input(from, to, in, random() % 2);
      ASSERT_EQ(route.fate, InputRoute::kForward)
          << from.ToString() << " " << to.ToString();
      ASSERT_EQ(route.device, out);
      ASSERT_NE(out, in);
    }
  }
  EXPECT_GT(known, 500u);
}

// Tables are searched by ranges of addresses: prefixes that hold each other,
// touch each other, begin or end where others do, at both ends of the space.
TEST(Routing, FindsTheLongestPrefix) {
  std::mt19937 random(7);
  for (int world = 0; world < 60; ++world) {
    NodeConfig node;
    node.interfaces.push_back({"a", {}});
    node.interfaces.push_back({"b", {}});
    const bool v6 = world % 3 == 0;
    const int width = v6 ? 128 : 32;
    const auto address = [&] {
      // Few bits differ, so that prefixes meet.
      uint32_t top = random() % 16 << 28;
      const uint32_t low = random() % 4 == 0 ? ~uint32_t{0} : random() % 8;
      if (random() % 4 == 0) top = ~uint32_t{0};
      if (!v6) return IpAddress::V4(top | low);
      std::array<uint8_t, 16> bytes = {};
      bytes[0] = static_cast<uint8_t>(top >> 24 | 1);
      bytes[15] = static_cast<uint8_t>(low);
      return IpAddress::V6(bytes);
    };
    const size_t routes = 1 + random() % (world % 5 == 0 ? 400 : 40);
    for (size_t i = 0; i < routes; ++i) {
      const int length = random() % 3 == 0
                             ? static_cast<int>(random() % (width + 1))
                         : random() % 2 ? width - static_cast<int>(random() % 4)
                                        : static_cast<int>(random() % 6);
      Route route = To(IpPrefix(address(), length).Masked(),
                       random() % 2 ? "a" : "b", 1 + random() % 3);
      route.table = 100 + random() % 2;
      node.routes.push_back(route);
    }
    const Routing routing(node);
    for (int i = 0; i < 400; ++i) {
      const IpAddress to = address();
      for (uint32_t table : {100u, 101u}) {
        const Route* expected = Longest(node.routes, table, to);
        const FibRoute* found = routing.LookupTable(table, to);
        ASSERT_EQ(found != nullptr, expected != nullptr) << to.ToString();
        if (found == nullptr) continue;
        EXPECT_EQ(found->prefix, expected->prefix) << to.ToString();
        EXPECT_EQ(found->metric, expected->metric) << to.ToString();
        EXPECT_EQ(routing.device(found->device).name, expected->device);
      }
    }
  }
}

TEST(Routing, DevicesAreFoundByName) {
  for (int devices : {1, 7, 8, 200}) {
    NodeConfig node;
    for (int i = 0; i < devices; ++i) {
      node.interfaces.push_back({"veth" + std::to_string(i), {}});
    }
    node.interfaces.push_back({"veth0", {}});  // a name that is taken
    const Routing routing(node);
    for (int i = 0; i < devices; ++i) {
      EXPECT_EQ(routing.FindDevice("veth" + std::to_string(i)), 2 + i);
    }
    EXPECT_EQ(routing.FindDevice("lo"), kLoopback);
    EXPECT_EQ(routing.FindDevice("veth"), kNoDevice);
    EXPECT_EQ(routing.FindDevice(""), kNoDevice);
  }
}

// Redirects are sent from one.
TEST(Routing, DevicesHaveLinkLocalAddressesUnlessNoneAreMade) {
  NodeConfig node;
  node.interfaces.push_back({"a", {}});
  node.interfaces.push_back({"b", {*IpPrefix::Parse("fd00::1/64")}});
  node.interfaces.push_back({"c", {*IpPrefix::Parse("fe80::1/64")}});
  const auto has_one = [&](const char* device) {
    const Routing routing(node);
    return routing.device(routing.FindDevice(device)).has_link_local;
  };
  EXPECT_TRUE(has_one("a"));
  node.sysctls["net.ipv6.conf.default.addr_gen_mode"] = 1;  // none
  EXPECT_FALSE(has_one("a"));
  EXPECT_FALSE(has_one("b"));
  EXPECT_TRUE(has_one("c"));
  node.sysctls["net.ipv6.conf.a.addr_gen_mode"] = 0;
  EXPECT_TRUE(has_one("a"));
}

// The default rules ask the local table, the main one and the default one; a
// throw route sends the search on. A policy rule that says the same as they do
// makes the search go by rules.
TEST(Routing, TheDefaultRulesAreAskedInOrder) {
  NodeConfig node;
  node.interfaces.push_back({"eth0", {*IpPrefix::Parse("10.0.0.1/24")}});
  node.routes.push_back(To(*IpPrefix::Parse("0.0.0.0/0"), "eth0", 0));
  Route thrown = To(*IpPrefix::Parse("10.1.0.0/16"), "", 0);
  thrown.type = RouteType::kThrow;
  node.routes.push_back(thrown);
  Route last = To(*IpPrefix::Parse("10.1.2.0/24"), "eth0", 9);
  last.table = kTableDefault;
  node.routes.push_back(last);
  Route closed = To(*IpPrefix::Parse("10.3.0.0/16"), "", 0);
  closed.type = RouteType::kProhibit;
  node.routes.push_back(closed);
  NodeConfig by_rules = node;
  PolicyRule rule;
  rule.priority = 100;
  rule.table = 77;  // empty
  by_rules.policy_rules.push_back(rule);
  for (const NodeConfig& config : {node, by_rules}) {
    const Routing routing(config);
    const auto lookup = [&](absl::string_view to) {
      RouteKey key;
      key.destination = *IpAddress::Parse(to);
      return routing.Lookup(key);
    };
    EXPECT_EQ(lookup("10.0.0.1").route->type, RouteType::kLocal);
    EXPECT_EQ(lookup("10.0.0.255").route->type, RouteType::kBroadcast);
    EXPECT_EQ(lookup("10.0.0.7").route->prefix.ToString(), "10.0.0.0/24");
    EXPECT_EQ(lookup("192.0.2.1").route->prefix.ToString(), "0.0.0.0/0");
    EXPECT_EQ(lookup("10.1.2.3").route->metric, 9u);
    EXPECT_EQ(lookup("10.1.3.3").error, RouteError::kNetUnreachable);
    EXPECT_EQ(lookup("10.1.3.3").route, nullptr);
    EXPECT_EQ(lookup("10.3.0.1").error, RouteError::kAccess);
  }
}

}  // namespace
}  // namespace k8sdns::dataplane
