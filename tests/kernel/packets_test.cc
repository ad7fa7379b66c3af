// Packets through the running kernel and through NodeDataplane: what comes
// out, where, and the counters of every rule that it met must agree.
//
// The test moves to a network namespace of its own, whose interfaces are tun
// devices: it writes packets into them and reads what leaves. Needs root,
// /dev/net/tun, ip(8), iptables-legacy and ip6tables-legacy; is skipped, saying
// so, elsewhere.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/iptables_save.h"
#include "k8sdns/proxy/iptables_compiler.h"
#include "k8sdns/proxy/random_cluster_for_test.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns {
namespace {

using conformance::ReadFile;
using conformance::WriteFile;
using dataplane::Arrival;
using dataplane::Branch;
using dataplane::NodeDataplane;
using dataplane::NodePacket;
using dataplane::Verdict;

// "nat:KUBE-SERVICES:rule:2" or "filter:INPUT:policy" to packets.
using RuleCounters = std::map<std::string, int64_t>;

constexpr const char* kDevices[] = {"eth0", "veth-a", "veth-b"};

// A family's tools, and the addresses of the world: the same world twice.
struct FamilyWorld {
  IpFamily family;
  const char* tool;         // "iptables-legacy"
  const char* node_net;     // on eth0
  const char* gateway;      // beyond it
  const char* pod_nets[2];  // behind veth-a and veth-b
  const char* everything;   // the prefix of all
};
constexpr FamilyWorld kIpv4World = {IpFamily::kIpv4,
                                    "iptables-legacy",
                                    "192.168.10.11/24",
                                    "192.168.10.1",
                                    {"10.244.1.0/24", "10.244.2.0/24"},
                                    "0.0.0.0/0"};
constexpr FamilyWorld kIpv6World = {IpFamily::kIpv6,
                                    "ip6tables-legacy",
                                    "fd00:a::11/64",
                                    "fd00:a::1",
                                    {"fd44:1::/64", "fd44:2::/64"},
                                    "::/0"};

std::string Folder() {
  const char* tmp = std::getenv("TEST_TMPDIR");
  return tmp == nullptr ? "/tmp" : tmp;
}

bool Shell(const std::string& command) {
  // Bazel's PATH does not have the tools of root.
  return std::system(
             ("export PATH=$PATH:/usr/sbin:/sbin\n" + command).c_str()) == 0;
}

// ---- packets as bytes ----

void Put(std::string* out, uint32_t value, int size) {
  for (int i = size - 1; i >= 0; --i) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}
uint32_t Get(const std::string& bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) {
    value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  }
  return value;
}
uint16_t Checksum(std::string bytes) {
  if (bytes.size() % 2 == 1) bytes.push_back('\0');
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) sum += Get(bytes, i, 2);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string Serialize(const NodePacket& packet) {
  const Packet& p = packet.header;
  const size_t width = p.src.is_v4() ? 4 : 16;
  std::string addresses;
  for (const IpAddress& address : {p.src, p.dst}) {
    addresses.append(address.bytes().begin(), address.bytes().begin() + width);
  }
  std::string body;
  size_t checksum_at = 6;
  if (p.IsIcmp()) {
    Put(&body, p.icmp_type, 1);
    Put(&body, p.icmp_code, 1);
    checksum_at = body.size();
    Put(&body, 0, 2);
    Put(&body, p.src_port, 2);
    Put(&body, 1, 2);  // sequence number
  } else {
    Put(&body, p.src_port, 2);
    Put(&body, p.dst_port, 2);
  }
  if (p.protocol == Protocol::kTcp) {
    Put(&body, packet.tcp_seq, 4);
    Put(&body, packet.tcp_ack, 4);
    Put(&body, 0x50u << 8 | p.tcp_flags, 2);
    Put(&body, packet.tcp_window, 2);
    checksum_at = body.size();
    Put(&body, 0, 4);
  } else if (p.protocol == Protocol::kUdp) {
    Put(&body, 8u + p.payload_size, 2);
    Put(&body, 0, 2);
  }
  body.append(p.payload_size, 'x');
  std::string pseudo;
  if (p.protocol != Protocol::kIcmp) {
    pseudo = addresses;
    Put(&pseudo, static_cast<uint8_t>(p.protocol), 2);
    Put(&pseudo, static_cast<uint32_t>(body.size()), 2);
  }
  const uint16_t sum = Checksum(pseudo + body);
  body[checksum_at] = static_cast<char>(sum >> 8);
  body[checksum_at + 1] = static_cast<char>(sum);
  std::string header;
  if (p.src.is_v6()) {
    Put(&header, 6u << 28 | uint32_t{p.tos} << 20, 4);
    Put(&header, static_cast<uint32_t>(body.size()), 2);
    Put(&header, static_cast<uint8_t>(p.protocol), 1);
    Put(&header, p.ttl, 1);
    return header + addresses + body;
  }
  Put(&header, 0x45, 1);
  Put(&header, p.tos, 1);
  Put(&header, static_cast<uint32_t>(20 + body.size()), 2);
  Put(&header, 0x4000, 4);  // identification 0, DF
  Put(&header, p.ttl, 1);
  Put(&header, static_cast<uint8_t>(p.protocol), 1);
  const uint16_t header_sum =
      Checksum(header + std::string(2, '\0') + addresses);
  Put(&header, header_sum, 2);
  return header + addresses + body;
}

// ---- the kernel ----

class Kernel {
 public:
  explicit Kernel(const FamilyWorld& world) : world_(world) {}

  // Empty if the kernel under test is not to be had; else why.
  std::string Start() {
    if (unshare(CLONE_NEWNET) != 0)
      return "no new network namespace: not root?";
    for (const char* name : kDevices) {
      const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
      if (fd < 0) return "no /dev/net/tun";
      ifreq request = {};
      std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
      request.ifr_flags = IFF_TUN | IFF_NO_PI;
      if (ioctl(fd, TUNSETIFF, &request) != 0) return "no tun device";
      devices_.push_back(fd);
    }
    if (!Shell("set -e\n"
               "for s in conf.all.rp_filter conf.default.rp_filter "
               "conf.all.send_redirects conf.default.send_redirects "
               "icmp_ratelimit; do echo 0 > /proc/sys/net/ipv4/"
               "$(echo $s | tr . /); done\n"
               "for d in eth0 veth-a veth-b; do "
               "echo 1 > /proc/sys/net/ipv6/conf/$d/disable_ipv6 || true\n"
               "echo 0 > /proc/sys/net/ipv4/conf/$d/rp_filter\n"
               "echo 0 > /proc/sys/net/ipv4/conf/$d/send_redirects\n"
               "ip link set $d up; done\n"
               "ip link set lo up\n"
               "echo 1 > /proc/sys/net/ipv4/ip_forward\n")) {
      return "ip(8) or a sysctl does not work here";
    }
    const bool v6 = world_.family == IpFamily::kIpv6;
    if (v6 && !Shell("set -e\n"
                     "cd /proc/sys/net/ipv6\n"
                     "echo 1 > conf/all/forwarding\n"
                     "echo 0 > icmp/ratelimit\n"
                     "for d in eth0 veth-a veth-b; do "
                     "echo 1 > conf/$d/addr_gen_mode\n"
                     "echo 0 > conf/$d/router_solicitations\n"
                     "echo 0 > conf/$d/disable_ipv6; done\n")) {
      return "no IPv6";
    }
    if (!Shell(absl::StrCat(
            "set -e\n", "ip addr add ", world_.node_net, " dev eth0",
            v6 ? " nodad" : "", "\n", "ip route add ", world_.pod_nets[0],
            " dev veth-a\n", "ip route add ", world_.pod_nets[1],
            " dev veth-b\n", "ip route add ", world_.everything, " via ",
            world_.gateway, " dev eth0\n"))) {
      return "ip(8) does not work here";
    }
    if (!Shell(absl::StrCat(world_.tool, " -t nat -L >/dev/null 2>&1"))) {
      return absl::StrCat(world_.tool, " does not work here");
    }
    // Until the node has told its groups to the neighbours (RFC 3810): the
    // reports pass OUTPUT, and rules count them.
    if (v6) sleep(4);
    return "";
  }
  ~Kernel() {
    for (int fd : devices_) close(fd);
  }

  bool Load(const std::string& rules) {
    const std::string file = Folder() + "/rules";
    const std::string restore = absl::StrCat(world_.tool, "-restore < ", file);
    // A `recent` list lives on while a rule names it.
    return WriteFile(
               file,
               "*raw\nCOMMIT\n*mangle\nCOMMIT\n*nat\nCOMMIT\n*filter\nCOMMIT\n")
               .ok() &&
           Shell(restore) && WriteFile(file, rules).ok() && Shell(restore);
  }
  RuleCounters Counters() {
    const std::string file = Folder() + "/saved";
    EXPECT_TRUE(Shell(absl::StrCat(world_.tool, "-save -c > ", file)));
    RuleCounters counters;
    std::map<std::string, int> rules;
    std::string table;
    const std::string saved = *ReadFile(file);
    for (absl::string_view line : absl::StrSplit(saved, '\n')) {
      if (line.empty()) continue;
      const size_t open = line.find('[');
      if (line[0] == '*') table = std::string(line.substr(1));
      int64_t packets = 0;
      if (open == absl::string_view::npos ||
          !absl::SimpleAtoi(
              line.substr(open + 1, line.find(':', open) - open - 1),
              &packets)) {
        continue;
      }
      if (line[0] == ':') {
        const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
        counters[absl::StrCat(table, words[0], ":policy")] = packets;
      } else if (line[0] == '[') {
        const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
        const std::string chain = absl::StrCat(table, ":", words[2]);
        counters[absl::StrCat(chain, ":rule:", ++rules[chain])] = packets;
      }
    }
    return counters;
  }

  void Send(int device, const std::string& packet) {
    ASSERT_EQ(write(devices_[device], packet.data(), packet.size()),
              static_cast<ssize_t>(packet.size()));
    ++sent_;
  }
  int sent() const { return sent_; }
  // What has left since: "eth0 17 10.0.0.1 > 10.0.0.2" and the bytes.
  std::vector<std::pair<std::string, std::string>> Receive() {
    std::vector<std::pair<std::string, std::string>> out;
    for (size_t i = 0; i < devices_.size(); ++i) {
      char buffer[4096];
      ssize_t size;
      while ((size = read(devices_[i], buffer, sizeof(buffer))) > 0) {
        const int version = static_cast<uint8_t>(buffer[0]) >> 4;
        if (version != (world_.family == IpFamily::kIpv4 ? 4 : 6)) continue;
        // Not what the node tells its neighbours.
        if (version == 6 && static_cast<uint8_t>(buffer[24]) == 0xff) continue;
        out.push_back({kDevices[i], std::string(buffer, size)});
      }
    }
    return out;
  }

  const FamilyWorld& world() const { return world_; }

 private:
  const FamilyWorld& world_;
  int sent_ = 0;
  std::vector<int> devices_;
};

// ---- the model ----

dataplane::NodeConfig ModelOfTheNamespace(const FamilyWorld& world) {
  dataplane::NodeConfig node;
  node.interfaces.push_back(
      {"eth0", {*IpPrefix::Parse(world.node_net)}, true, false});
  node.interfaces.push_back({"veth-a", {}, true, false});
  node.interfaces.push_back({"veth-b", {}, true, false});
  auto route = [&](const char* prefix, const char* device, const char* via) {
    dataplane::Route r;
    r.prefix = *IpPrefix::Parse(prefix);
    r.device = device;
    if (via != nullptr) r.gateway = IpAddress::Parse(via);
    node.routes.push_back(r);
  };
  route(world.pod_nets[0], "veth-a", nullptr);
  route(world.pod_nets[1], "veth-b", nullptr);
  route(world.everything, "eth0", world.gateway);
  for (const char* device : {"all", "default", "eth0", "veth-a", "veth-b"}) {
    node.sysctls[absl::StrCat("net.ipv6.conf.", device, ".addr_gen_mode")] = 1;
    for (const char* name : {"rp_filter", "send_redirects"}) {
      node.sysctls[absl::StrCat("net.ipv4.conf.", device, ".", name)] = 0;
    }
  }
  return node;
}

// What the trace of an outcome does to the counters.
RuleCounters Expected(const Branch& branch, const netfilter::Ruleset& rules) {
  RuleCounters counters;
  for (dataplane::TraceStep step : branch.outcome.trace) {
    step.mark = 0;
    if (step.kind == dataplane::TraceStep::kReturn) continue;
    ++counters[dataplane::TraceLine(step, rules)];
  }
  return counters;
}

// The source (0) or destination (1) of a packet.
IpAddress AddressAt(const std::string& bytes, size_t which) {
  if (static_cast<uint8_t>(bytes[0]) >> 4 == 4) {
    return IpAddress::V4(Get(bytes, 12 + 4 * which, 4));
  }
  std::array<uint8_t, 16> address;
  std::memcpy(address.data(), bytes.data() + 8 + 16 * which, address.size());
  return IpAddress::V6(address);
}

bool SamePacket(const dataplane::Outcome& outcome, const std::string& bytes) {
  const Packet& p = outcome.packet.header;
  const bool v6 = p.src.is_v6();
  const size_t header = v6 ? 40 : 20;
  if (bytes.size() < header + 8 || AddressAt(bytes, 0) != p.src ||
      AddressAt(bytes, 1) != p.dst || Get(bytes, v6 ? 7 : 8, 1) != p.ttl ||
      Get(bytes, v6 ? 6 : 9, 1) != static_cast<uint8_t>(p.protocol) ||
      (v6 ? Get(bytes, 0, 4) >> 20 & 0xff : Get(bytes, 1, 1)) != p.tos) {
    return false;
  }
  const bool icmp = p.IsIcmp();
  const uint32_t sport = Get(bytes, header + (icmp ? 4 : 0), 2);
  const bool rest = icmp ? Get(bytes, header, 1) == p.icmp_type &&
                               Get(bytes, header + 1, 1) == p.icmp_code
                         : Get(bytes, header + 2, 2) == p.dst_port;
  return rest &&
         (outcome.drawn_last_port == 0 ? sport == p.src_port
                                       : sport >= outcome.drawn_first_port &&
                                             sport <= outcome.drawn_last_port);
}

class Comparison {
 public:
  Comparison(Kernel& kernel, const std::string& rules) : kernel_(kernel) {
    const bool v6 = kernel.world().family == IpFamily::kIpv6;
    auto parsed = netfilter::ParseIptablesSave(rules, kernel.world().family);
    EXPECT_TRUE(parsed.ok()) << parsed.status() << rules;
    if (!parsed.ok()) return;
    rules_ = std::make_shared<const netfilter::Ruleset>(*std::move(parsed));
    text_ = netfilter::PrintIptablesSave(*rules_);
    loaded_ = kernel.Load(text_);
    const auto matcher = std::make_shared<const dataplane::Matcher>(rules_);
    node_ = std::make_unique<NodeDataplane>(ModelOfTheNamespace(kernel.world()),
                                            v6 ? nullptr : matcher,
                                            v6 ? matcher : nullptr);
    before_ = kernel.Counters();
  }
  bool loaded() const { return loaded_; }
  const std::string& text() const { return text_; }

  // Sends one packet through both. False, with a failure, if they differ.
  bool Send(int device, const NodePacket& packet) {
    return Send(device, packet, nullptr);
  }
  // The same; then the answer of whom it reached, if it left the node and its
  // source port is known.
  bool SendAndAnswer(int device, const NodePacket& packet) {
    dataplane::Outcome outcome;
    if (!Send(device, packet, &outcome)) return false;
    if (outcome.verdict.kind != Verdict::kAccept || outcome.local ||
        outcome.drawn_last_port != 0) {
      return true;
    }
    int out = 0;
    while (kDevices[out] != outcome.out) ++out;
    NodePacket answer = outcome.packet;
    Packet& header = answer.header;
    std::swap(header.src, header.dst);
    header.ttl = 61;
    header.tos = 0;
    if (header.IsIcmp()) {
      header.icmp_type = header.src.is_v4() ? 0 : 129;  // echo reply
    } else {
      std::swap(header.src_port, header.dst_port);
      header.tcp_flags = kTcpSyn | kTcpAck;
      answer.tcp_seq = 7000;
      answer.tcp_ack = packet.tcp_seq + 1;
      answer.tcp_option_bytes = 0;  // TCPMSS may have added some
    }
    return Send(out, answer, nullptr);
  }

 private:
  bool Send(int device, const NodePacket& packet, dataplane::Outcome* outcome) {
    kernel_.Receive();
    kernel_.Send(device, Serialize(packet));
    usleep(2000);
    const auto received = kernel_.Receive();
    const RuleCounters after = kernel_.Counters();
    RuleCounters seen;
    for (const auto& [rule, count] : after) {
      // The kernel keeps the tables of the worlds before, empty.
      const auto table = netfilter::FindTable(
          absl::string_view(rule).substr(0, rule.find(':')));
      if (!table || rules_->table(*table) == nullptr) continue;
      if (count != before_[rule]) seen[rule] = count - before_[rule];
    }
    before_ = after;
    const std::vector<Branch> branches =
        node_->Match(Arrival::On(kDevices[device], packet));
    for (const Branch& branch : branches) {
      if (!Agrees(branch, seen, received)) continue;
      if (outcome != nullptr) *outcome = branch.outcome;
      node_->Take(branch);
      return true;
    }
    std::string message = absl::StrCat("on ", kDevices[device], ": ",
                                       packet.header.ToString(), "\nkernel:\n");
    for (const auto& [rule, count] : seen) {
      absl::StrAppend(&message, "  ", rule, " ", count, "\n");
    }
    for (const auto& [out, bytes] : received) {
      absl::StrAppend(&message, "  out ", out, " ",
                      AddressAt(bytes, 0).ToString(), " > ",
                      AddressAt(bytes, 1).ToString(), "\n");
    }
    for (const Branch& branch : branches) {
      absl::StrAppend(&message, "model: ", branch.outcome.verdict.kind, " ",
                      branch.outcome.verdict.reason, " ", branch.outcome.out,
                      " ", branch.outcome.packet.header.ToString(), "\n");
      for (const auto& [rule, count] : Expected(branch, *rules_)) {
        absl::StrAppend(&message, "  ", rule, " ", count, "\n");
      }
    }
    ADD_FAILURE() << message;
    return false;
  }

  bool Agrees(
      const Branch& branch, RuleCounters seen,
      const std::vector<std::pair<std::string, std::string>>& received) const {
    const dataplane::Outcome& outcome = branch.outcome;
    const bool forwarded =
        outcome.verdict.kind == Verdict::kAccept && !outcome.local;
    for (const auto& [rule, count] : Expected(branch, *rules_)) {
      seen[rule] -= count;
      if (seen[rule] < 0) return false;
      if (seen[rule] == 0) seen.erase(rule);
    }
    // The node's own answer meets rules that no trace names.
    const bool answered =
        outcome.verdict.kind == Verdict::kReject || outcome.local;
    for (const auto& [rule, count] : seen) {
      if (!answered) return false;
      if (absl::StrContains(rule, ":PREROUTING:") ||
          absl::StrContains(rule, ":FORWARD:") ||
          absl::StrContains(rule, ":INPUT:")) {
        return false;
      }
    }
    if (!forwarded) return answered || received.empty();
    return received.size() == 1 && received[0].first == outcome.out &&
           SamePacket(outcome, received[0].second);
  }

  Kernel& kernel_;
  std::shared_ptr<const netfilter::Ruleset> rules_;
  std::string text_;
  bool loaded_ = false;
  std::unique_ptr<NodeDataplane> node_;
  RuleCounters before_;
};

// Of ICMP an echo request, whose identifier is `sport`.
NodePacket MakePacket(const IpAddress& src, const IpAddress& dst,
                      Protocol protocol, uint16_t sport, uint16_t dport) {
  const bool tcp = protocol == Protocol::kTcp;
  NodePacket packet;
  if (protocol == Protocol::kIcmp) {
    packet.header = Packet::IcmpEcho(src, dst, sport);
    packet.header.payload_size = 13;
    return packet;
  }
  const SocketAddress from{src, sport};
  const SocketAddress to{dst, dport};
  packet.header = tcp ? Packet::Tcp(from, to) : Packet::Udp(from, to);
  packet.header.payload_size = tcp ? 0 : 13;
  return packet;
}

// ---- random tables ----

// A text with the IPv4 addresses of this test, as the IPv6 ones that stand in
// the same places of the other world.
std::string InIpv6(const std::string& text) {
  return absl::StrReplaceAll(text, {{"10.244.1.0/24", "fd44:1::/64"},
                                    {"10.244.2.0/24", "fd44:2::/64"},
                                    {"203.0.113.0/24", "fd0c::/64"},
                                    {"10.96.0.0/16", "fd96::/112"},
                                    {"10.244.1.10", "fd44:1::10"},
                                    {"10.244.1.", "fd44:1::"},
                                    {"10.244.2.", "fd44:2::"},
                                    {"10.96.0.", "fd96::"},
                                    {"192.168.10.", "fd00:a::"},
                                    {"203.0.113.", "fd0c::"},
                                    {"198.51.100.", "fd0d::"}});
}

class RandomRules {
 public:
  RandomRules(const FamilyWorld& world, uint64_t seed)
      : world_(world), random_(seed) {}

  template <size_t n>
  const char* Of(const char* const (&words)[n]) {
    return words[random_() % n];
  }
  uint32_t Draw(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  std::string Text() {
    std::string text = "*raw\n";
    for (int i = 0; i < 3; ++i) Rule("PREROUTING", "raw", &text);
    text += "COMMIT\n*mangle\n:A - [0:0]\n";
    for (int i = 0; i < 4; ++i) Rule("PREROUTING", "mangle", &text);
    for (int i = 0; i < 3; ++i) Rule("A", "mangle", &text);
    for (int i = 0; i < 3; ++i) Rule("FORWARD", "mangle", &text);
    for (int i = 0; i < 2; ++i) Rule("POSTROUTING", "mangle", &text);
    text += "COMMIT\n*nat\n";
    for (int i = 0; i < 4; ++i) Rule("PREROUTING", "nat", &text);
    for (int i = 0; i < 2; ++i) Rule("POSTROUTING", "nat", &text);
    text +=
        "-A POSTROUTING -m mark --mark 0x1/0x1 -j MASQUERADE\n"
        "COMMIT\n*filter\n:A - [0:0]\n:B - [0:0]\n";
    for (int i = 0; i < 6; ++i) Rule("FORWARD", "filter", &text);
    for (int i = 0; i < 3; ++i) Rule("INPUT", "filter", &text);
    for (int i = 0; i < 4; ++i) Rule("A", "filter", &text);
    for (int i = 0; i < 3; ++i) Rule("B", "filter", &text);
    return text + "COMMIT\n";
  }

 private:
  void Rule(const std::string& chain, const std::string& table,
            std::string* text) {
    static constexpr const char* kMatches[] = {
        " -s 10.244.1.0/24", " ! -s 203.0.113.0/24", " -d 10.244.2.0/24",
        " ! -d 10.96.0.0/16", " -m mark --mark 0x1/0x1",
        " -m mark ! --mark 0x2", " -m conntrack --ctstate NEW",
        " -m conntrack --ctstate ESTABLISHED", " -m conntrack --ctstate DNAT",
        " -m conntrack --ctstate SNAT",
        " -m conntrack --ctstate INVALID,UNTRACKED",
        " -m conntrack ! --ctstate RELATED,NEW",
        " -m conntrack ! --ctorigdst 10.96.0.1",
        " -m conntrack --ctorigsrc 10.244.1.0/24",
        " -m conntrack --ctreplsrc 10.244.2.0/24",
        " -m conntrack ! --ctrepldst 192.168.10.0/24",
        " -m conntrack --ctstatus SEEN_REPLY",
        " -m conntrack --ctstatus ASSURED,EXPECTED",
        " -m conntrack --ctstatus CONFIRMED",
        " -m conntrack ! --ctstatus CONFIRMED", " -m conntrack --ctstatus NONE",
        " -m conntrack --ctdir REPLY", " -m conntrack --ctdir ORIGINAL",
        " -m conntrack --ctproto 17", " -m conntrack ! --ctproto 6",
        " -m conntrack --ctproto 6 --ctorigdstport 53:80",
        " -m conntrack --ctproto 17 --ctreplsrcport 80",
        " -m conntrack --ctproto 17 ! --ctorigsrcport 40000:40700",
        " -m state --state NEW,INVALID", " -m state ! --state ESTABLISHED",
        " -m connmark --mark 0x1/0x1", " -m connmark ! --mark 0",
        " -m pkttype --pkt-type unicast", " -m pkttype ! --pkt-type multicast",
        " -m statistic --mode nth --every 3 --packet 1",
        " -m statistic --mode nth ! --every 2 --packet 0",
        " -m u32 --u32 6&0xff=17",
        // Of ICMP there would be a checksum.
        " -m u32 --u32 6&0xff=6:17&&0>>22&0x3c@0&0xffff=53:80",
        " -m length --length 0:40", " -m length ! --length 41:60",
        " -m ttl --ttl-lt 64", " -m ttl --ttl-gt 9", " -m ttl --ttl-eq 64",
        " -m iprange --dst-range 10.244.1.5-10.244.2.5",
        " -m iprange ! --src-range 10.244.1.5-10.244.2.5",
        " -m addrtype --dst-type LOCAL", " -m addrtype ! --src-type LOCAL",
        " -m addrtype --dst-type UNICAST", " -m addrtype --src-type UNICAST",
        " -m dscp --dscp 4", " -m tos --tos 0x10/0x3f",
        " -m tos ! --tos 0x00/0xff", " -m recent --name r --rcheck",
        " -m recent --name r --set", " -m recent --name r --remove",
        " -m recent --name r --update --hitcount 2",
        " -m recent --name q --rcheck --seconds 3600 --hitcount 3 --rdest",
        " -m recent --name q --set --rdest", " -m recent --name q ! --rcheck",
        " -m recent --name m --set --mask 255.255.255.0",
        " -m recent --name m --rcheck --mask 255.255.255.0",
        " -m limit --limit 1/hour --limit-burst 2",
        " -m limit --limit 2/hour --limit-burst 5",
        " -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 2 "
        "--hashlimit-mode srcip --hashlimit-name h",
        " -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 3 "
        "--hashlimit-mode srcip,dstip,dstport --hashlimit-name g",
        " -m hashlimit --hashlimit-upto 2/hour --hashlimit-burst 4 "
        "--hashlimit-mode dstip --hashlimit-dstmask 24 --hashlimit-name k",
        ""};
    // The hooks before routing know where a packet came in; those after it,
    // where it goes.
    static constexpr const char* kBefore[] = {" -i eth0", " -i veth+",
                                              " ! -i veth-a", "", ""};
    static constexpr const char* kAfter[] = {" -o eth0", " ! -o veth+",
                                             " -o veth-a", "", ""};
    static constexpr const char* kRaw[] = {
        " -m rpfilter", " -m rpfilter --invert", " -m rpfilter --loose", ""};
    static constexpr const char* kProtocols[] = {
        "",
        "",
        "",
        " -p udp",
        " -p tcp",
        " -p udp -m udp --dport 53",
        " -p udp -m udp ! --sport 40000:40500",
        " -p tcp -m tcp --dport 80:90",
        " -p tcp -m tcp ! --sport 1024:65535",
        " -p tcp -m tcp --syn",
        " -p tcp -m tcp ! --syn",
        " -p tcp -m tcp --tcp-flags SYN,RST SYN",
        " -p tcp -m tcp ! --tcp-flags FIN,ACK FIN,ACK",
        " -p tcp -m tcp --tcp-option 2",
        " -p udp -m multiport --dports 53,80",
        " -p tcp -m multiport --ports 53,80:90",
        " -p tcp -m multiport ! --sports 53,40000:41000",
        " -p icmp",
        " -p icmp -m icmp --icmp-type 8",
        " -p icmp -m icmp ! --icmp-type 0",
        " ! -p udp"};
    const char* const protocol = Of(kProtocols);
    const bool raw = table == "raw";
    absl::StrAppend(text, "-A ", chain, Spelled(protocol),
                    chain == "POSTROUTING" ? Of(kAfter)
                    : raw                  ? Of(kRaw)
                                           : Of(kBefore),
                    Spelled(Of(kMatches)));
    // Basic options may come only once.
    for (int i = 0; i < 2; ++i) {
      const absl::string_view more = Of(kMatches);
      if (Draw(3) != 0 && absl::StartsWith(more, " -m")) {
        absl::StrAppend(text, Spelled(more));
      }
    }
    const bool tcp = absl::StrContains(protocol, " -p tcp");
    const bool ports = tcp || absl::StrContains(protocol, " -p udp");
    if (table == "nat") {
      static constexpr const char* kDestination[] = {
          " -j DNAT --to-destination 10.244.2.7",
          " -j RETURN",
          " -j DNAT --to-destination 10.244.1.9",
          " -j DNAT --to-destination 10.244.2.8",
          " -j NETMAP --to 10.244.2.0/24",
          " -j DNAT --to-destination 10.244.2.7-10.244.2.9"};
      static constexpr const char* kPort[] = {" -j REDIRECT --to-ports 8080",
                                              " -j REDIRECT"};
      static constexpr const char* kSource[] = {
          " -j SNAT --to-source 192.168.10.11", " -j RETURN", " -j MASQUERADE",
          " -j SNAT --to-source 203.0.113.9", " -j ACCEPT"};
      absl::StrAppend(text,
                      Spelled(chain == "POSTROUTING"  ? Of(kSource)
                              : ports && Draw(4) == 0 ? Of(kPort)
                                                      : Of(kDestination)),
                      "\n");
      return;
    }
    static constexpr const char* kRawTargets[] = {
        " -j CT --notrack", " -j NOTRACK", " -j ACCEPT", " -j RETURN", "", ""};
    static constexpr const char* kMangle[] = {
        " -j MARK --set-xmark 0x1/0x1",
        " -j MARK --set-xmark 0x2/0xff",
        " -j MARK --or-mark 0x4",
        " -j MARK --and-mark 0xfffffffe",
        " -j MARK --xor-mark 0x3",
        " -j CONNMARK --save-mark",
        " -j CONNMARK --restore-mark",
        " -j CONNMARK --set-xmark 0x1/0x3",
        " -j DSCP --set-dscp 4",
        " -j TTL --ttl-set 9",
        " -j TTL --ttl-dec 3",
        " -j TTL --ttl-inc 2",
        " -j TOS --set-tos 0x10/0x3f",
        " -j TOS --set-tos 0x4/0xff",
        " -j RETURN",
        " -j ACCEPT",
        ""};
    static constexpr const char* kFilter[] = {
        " -j ACCEPT", " -j DROP", " -j REJECT", " -j RETURN", "", ""};
    if (raw) {
      absl::StrAppend(text, Of(kRawTargets), "\n");
      return;
    }
    const bool own = chain == "A" || chain == "B";
    if (Draw(3) == 0 && !own) {
      absl::StrAppend(text, Draw(4) == 0 ? " -g A\n" : " -j A\n");
    } else if (Draw(4) == 0 && chain == "A" && table == "filter") {
      text->append(" -j B\n");
    } else if (tcp && table == "mangle" && Draw(4) == 0 &&
               absl::StrContains(protocol, " --syn") &&
               !absl::StrContains(protocol, "! --syn")) {
      text->append(" -j TCPMSS --set-mss 1200\n");
    } else if (table == "mangle" && Draw(8) == 0 &&
               (chain == "FORWARD" || chain == "POSTROUTING")) {
      text->append(" -j CLASSIFY --set-class 1:2\n");
    } else if (tcp && table == "filter" && Draw(4) == 0) {
      text->append(" -j REJECT --reject-with tcp-reset\n");
    } else {
      absl::StrAppend(
          text, Spelled(table == "mangle" ? Of(kMangle) : Of(kFilter)), "\n");
    }
  }

  // What is written down for IPv4, in the family's words.
  std::string Spelled(absl::string_view rule) const {
    std::string out(rule);
    if (world_.family == IpFamily::kIpv6) {
      out = InIpv6(out);
      if (absl::StrContains(out, "u32")) return "";  // the bytes are others
      out = absl::StrReplaceAll(
          out, {{"-m ttl", "-m hl"},
                {"-j TTL", "-j HL"},
                {"--ttl-", "--hl-"},
                {"-m icmp --icmp-type 8", "-m icmp6 --icmpv6-type 128"},
                {"-m icmp ! --icmp-type 0", "-m icmp6 ! --icmpv6-type 129"},
                {"255.255.255.0", "ffff:ffff::"},
                {"dstmask 24", "dstmask 64"}});
      out = absl::StrReplaceAll(out, {{"-p icmp", "-p ipv6-icmp"}});
    }
    return out;
  }

  const FamilyWorld& world_;
  std::mt19937_64 random_;
};

// More for who has the time.
uint64_t Worlds() {
  const char* const asked = std::getenv("K8SDNS_KERNEL_WORLDS");
  uint64_t worlds = 0;
  return asked != nullptr && absl::SimpleAtoi(asked, &worlds) ? worlds : 24;
}

class Packets : public ::testing::TestWithParam<FamilyWorld> {};

// All in one test: the namespace is entered once.
TEST_P(Packets, TheKernelAndTheModelAgree) {
  const FamilyWorld& family = GetParam();
  const bool v6 = family.family == IpFamily::kIpv6;
  const auto ip = [&](const std::string& ipv4) {
    return *IpAddress::Parse(v6 ? InIpv6(ipv4) : ipv4);
  };
  Kernel kernel(family);
  if (const std::string why = kernel.Start(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  for (uint64_t seed = 1; seed <= Worlds(); ++seed) {
    RandomRules random(family, seed);
    Comparison world(kernel, random.Text());
    ASSERT_TRUE(world.loaded()) << world.text();
    static constexpr const char* kSources[] = {"203.0.113.7", "192.168.10.5",
                                               "10.244.1.10", "10.244.2.7"};
    static constexpr const char* kTargets[] = {"10.96.0.1",     "10.244.1.9",
                                               "10.244.2.7",    "10.244.2.8",
                                               "192.168.10.11", "198.51.100.1"};
    static constexpr uint16_t kPorts[] = {53, 80, 85, 8080};
    bool agree = true;
    for (int i = 0; i < 16 && agree; ++i) {
      const uint32_t source = random.Draw(4);
      const int device = source < 2 ? 0 : static_cast<int>(source) - 1;
      static constexpr Protocol kProtocols[] = {Protocol::kTcp, Protocol::kUdp,
                                                Protocol::kIcmp};
      NodePacket packet =
          MakePacket(ip(kSources[source]), ip(random.Of(kTargets)),
                     kProtocols[random.Draw(3)],
                     static_cast<uint16_t>(40000 + seed * 16 % 24000 + i),
                     kPorts[random.Draw(4)]);
      static constexpr uint8_t kTtls[] = {64, 64, 64, 200, 10, 2, 1};
      static constexpr uint8_t kTos[] = {0, 0, 0x10, 0x12, 0xb8};
      static constexpr uint8_t kFlags[] = {kTcpSyn, kTcpSyn,
                                           kTcpAck, kTcpFin | kTcpAck,
                                           kTcpRst, kTcpSyn | kTcpAck};
      Packet& header = packet.header;
      header.ttl = kTtls[random.Draw(7)];
      header.tos = kTos[random.Draw(5)];
      header.payload_size += static_cast<uint16_t>(random.Draw(3) * 20);
      if (header.protocol == Protocol::kTcp) {
        header.tcp_flags = kFlags[random.Draw(6)];
      }
      // Once as a new flow, which is answered, once as a later packet. No port
      // comes twice: the kernel remembers the flows of the worlds before.
      agree = world.SendAndAnswer(device, packet) && world.Send(device, packet);
    }
    if (!agree) ADD_FAILURE() << "seed " << seed << "\n" << world.text();
  }
  // The random clusters are IPv4's.
  for (uint64_t seed = 1; seed <= 3 && !v6; ++seed) {
    KubeProxyConfig config;
    config.hostname_override = "node-1";
    config.bind_address = "0.0.0.0";
    config.cluster_cidr = "10.244.0.0/16";
    proxy::RandomEvents events(seed);
    Cluster cluster;
    cluster.Put(proxy::RandomEvents::FirstNode());
    for (int i = 0; i < 80; ++i) events.Next(cluster);
    auto compiler = proxy::IptablesCompiler::Create(
        cluster, config, {.dialect = proxy::Dialect::kV1_30});
    ASSERT_TRUE(compiler.ok()) << compiler.status();
    Comparison world(kernel, netfilter::PrintIptablesSave(
                                 compiler->Compile(IpFamily::kIpv4)));
    ASSERT_TRUE(world.loaded());
    std::vector<std::pair<IpAddress, const ServicePort*>> targets;
    for (const Service& service : cluster.services()) {
      const auto vip = IpAddress::Parse(service.spec.cluster_ip);
      for (const ServicePort& port : service.spec.ports) {
        if (port.protocol == Protocol::kSctp) continue;
        if (vip && vip->is_v4()) targets.push_back({*vip, &port});
        if (port.node_port != 0) {
          targets.push_back({*IpAddress::Parse("192.168.10.11"), &port});
        }
      }
    }
    uint16_t sport = static_cast<uint16_t>(42000 + seed * 1000);
    for (const auto& [address, port] : targets) {
      const bool node = address.ToString() == "192.168.10.11";
      for (int device : {0, 1}) {
        const NodePacket packet = MakePacket(
            *IpAddress::Parse(device == 0 ? "203.0.113.7" : "10.244.1.10"),
            address, port->protocol, ++sport,
            static_cast<uint16_t>(node ? port->node_port : port->port));
        ASSERT_TRUE(world.SendAndAnswer(device, packet)) << "cluster " << seed;
      }
    }
  }
  std::cout << kernel.sent() << " packets, as the kernel had it\n";
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, Packets,
                         ::testing::Values(kIpv4World, kIpv6World),
                         [](const auto& info) {
                           return std::string(IpFamilyName(info.param.family));
                         });

}  // namespace
}  // namespace k8sdns
