// The reading half of ipvsadm_save.h. What is legal is what parse_options(),
// process_options() and the kernel's ip_vs_ctl.c accept.
#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "k8sdns/ipvs/ipvsadm_save.h"

namespace k8sdns::ipvs {
namespace {

constexpr uint32_t kDefaultPersistence = 360;      // IP_VS_TEMPLATE_TIMEOUT
constexpr int64_t kMaxPersistence = 86400LL * 31;  // MAX_TIMEOUT
constexpr int64_t kMaxThreshold = std::numeric_limits<int32_t>::max();
constexpr size_t kSchedulerNameMax = 15;  // IP_VS_SCHEDNAME_MAXLEN - 1

enum Option : uint8_t {
  kNone,
  kAdd,
  kEdit,
  kDelete,
  kAddReal,
  kEditReal,
  kDeleteReal,
  kClear,
  kTcp,
  kUdp,
  kSctp,
  kMark,
  kIpv6,
  kScheduler,
  kPersistent,
  kNetmask,
  kEngine,
  kOnePacket,
  kFlags,
  kReal,
  kMasquerading,
  kGatewaying,
  kIpip,
  kWeight,
  kUpper,
  kLower,
  kTunType,
  kTunPort,
  kTunNoCsum,
  kTunCsum,
  kTunRemCsum,
};
enum class Argument : uint8_t { kNo, kYes, kMaybe };
// Which commands an option goes with.
enum Where : uint8_t { kService = 1, kVirtual = 2, kServer = 4, kForward = 8 };

struct OptionInfo {
  Option option;
  char letter;  // 0: long only
  absl::string_view name;
  Argument argument;
  uint8_t where;  // 0: a command
};
constexpr OptionInfo kOptions[] = {
    {kAdd, 'A', "add-service", Argument::kNo, 0},
    {kEdit, 'E', "edit-service", Argument::kNo, 0},
    {kDelete, 'D', "delete-service", Argument::kNo, 0},
    {kAddReal, 'a', "add-server", Argument::kNo, 0},
    {kEditReal, 'e', "edit-server", Argument::kNo, 0},
    {kDeleteReal, 'd', "delete-server", Argument::kNo, 0},
    {kClear, 'C', "clear", Argument::kNo, 0},
    {kTcp, 't', "tcp-service", Argument::kYes, kService},
    {kUdp, 'u', "udp-service", Argument::kYes, kService},
    {kSctp, 0, "sctp-service", Argument::kYes, kService},
    {kMark, 'f', "fwmark-service", Argument::kYes, kService},
    {kIpv6, '6', "ipv6", Argument::kNo, kService},
    {kScheduler, 's', "scheduler", Argument::kYes, kVirtual},
    {kPersistent, 'p', "persistent", Argument::kMaybe, kVirtual},
    {kNetmask, 'M', "netmask", Argument::kYes, kVirtual},
    {kEngine, 0, "pe", Argument::kYes, kVirtual},
    {kOnePacket, 'o', "ops", Argument::kNo, kVirtual},
    {kFlags, 'b', "sched-flags", Argument::kYes, kVirtual},
    {kReal, 'r', "real-server", Argument::kYes, kServer},
    {kMasquerading, 'm', "masquerading", Argument::kNo, kForward},
    {kGatewaying, 'g', "gatewaying", Argument::kNo, kForward},
    {kIpip, 'i', "ipip", Argument::kNo, kForward},
    {kWeight, 'w', "weight", Argument::kYes, kForward},
    {kUpper, 'x', "u-threshold", Argument::kYes, kForward},
    {kLower, 'y', "l-threshold", Argument::kYes, kForward},
    {kTunType, 0, "tun-type", Argument::kYes, kForward},
    {kTunPort, 0, "tun-port", Argument::kYes, kForward},
    {kTunNoCsum, 0, "tun-nocsum", Argument::kNo, kForward},
    {kTunCsum, 0, "tun-csum", Argument::kNo, kForward},
    {kTunRemCsum, 0, "tun-remcsum", Argument::kNo, kForward},
};

const OptionInfo* FindOption(char letter) {
  for (const OptionInfo& info : kOptions) {
    if (letter != 0 && info.letter == letter) return &info;
  }
  return nullptr;
}
const OptionInfo* FindOption(absl::string_view name) {
  for (const OptionInfo& info : kOptions) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

struct Word {
  absl::string_view text;
  size_t column;  // from 1
};

// What one line says.
struct Line {
  Option command = kNone;
  Word command_word;
  bool has_service = false;
  Word service_word;
  uint64_t given = 0;  // bits 1 << Option
  VirtualServer server;
  bool has_real = false;
  bool real_has_port = false;
  Word real_word;
  RealServer real;
  RealServerExtra extra;
  std::vector<absl::string_view> unknown;
};

class Reader {
 public:
  Reader(absl::string_view file_name, const IpvsadmOptions& options,
         Table& table)
      : file_name_(file_name), options_(options), table_(table) {}

  absl::Status Read(absl::string_view text) {
    if (text.size() > options_.max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_name_, ": ", text.size(), " bytes, the limit is ",
                       options_.max_bytes));
    }
    while (!text.empty() && errors_.size() <= options_.max_errors) {
      ++line_number_;
      const size_t end = text.find('\n');
      ReadLine(text.substr(0, end));
      text.remove_prefix(end == absl::string_view::npos ? text.size()
                                                        : end + 1);
    }
    if (errors_.empty()) return absl::OkStatus();
    if (errors_.size() > options_.max_errors) {
      errors_.back() = absl::StrCat(file_name_, ": more errors follow");
    }
    return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
  }

 private:
  // All report functions return false.
  bool Error(const Word& word, absl::string_view expected) {
    errors_.push_back(absl::StrCat(file_name_, ":", line_number_, ":",
                                   word.column, ": found \"", word.text,
                                   "\", expected ", expected));
    return false;
  }
  bool Refuse(const Word& word, absl::string_view why) {
    errors_.push_back(absl::StrCat(file_name_, ":", line_number_, ":",
                                   word.column, ": \"", word.text,
                                   "\": ", why));
    return false;
  }

  void ReadLine(absl::string_view text) {
    words_.clear();
    for (size_t i = 0; i < text.size();) {
      if (text[i] == ' ' || text[i] == '\t') {
        ++i;
        continue;
      }
      size_t end = i;
      while (end < text.size() && text[end] != ' ' && text[end] != '\t') ++end;
      words_.push_back({text.substr(i, end - i), i + 1});
      i = end;
    }
    if (words_.empty()) return;
    Line line;
    if (ParseWords(line) && Check(line)) CarryOut(line);
  }

  bool ParseWords(Line& line) {
    size_t i = 0;
    while (i < words_.size()) {
      const Word word = words_[i++];
      if (word.text.size() < 2 || word.text[0] != '-') {
        return Error(word, "an option");
      }
      if (word.text[1] == '-') {
        absl::string_view name = word.text.substr(2);
        absl::string_view value;
        const size_t equals = name.find('=');
        const bool attached = equals != absl::string_view::npos;
        if (attached) {
          value = name.substr(equals + 1);
          name = name.substr(0, equals);
        }
        if (!Take(FindOption(name), word, attached, value, i, line)) {
          return false;
        }
        continue;
      }
      if (!ParseLetters(word, i, line)) return false;
    }
    return true;
  }

  // "-A", "-w1", "-w=1", "-mw" "1".
  bool ParseLetters(const Word& word, size_t& next, Line& line) {
    for (size_t k = 1; k < word.text.size(); ++k) {
      const OptionInfo* info = FindOption(word.text[k]);
      const bool last = k + 1 == word.text.size();
      if (info == nullptr && k > 1) return Error(word, "known options");
      if (info == nullptr) return Take(nullptr, word, true, "", next, line);
      if (info->argument != Argument::kNo && !last) {
        absl::string_view value = word.text.substr(k + 1);
        if (value[0] == '=') value.remove_prefix(1);
        return Take(info, word, true, value, next, line);
      }
      if (!Take(info, word, false, "", next, line)) return false;
    }
    return true;
  }

  bool Take(const OptionInfo* info, const Word& word, bool attached,
            absl::string_view value, size_t& next, Line& line) {
    if (info == nullptr) {
      // Not known: kept with the words that look like its arguments.
      line.unknown.push_back(word.text);
      while (next < words_.size() &&
             (words_[next].text[0] != '-' || words_[next].text.size() < 2)) {
        line.unknown.push_back(words_[next++].text);
      }
      return true;
    }
    Word argument = {value, word.column + (word.text.size() - value.size())};
    bool has_argument = attached;
    if (info->argument == Argument::kNo && attached) {
      return Error(word, "no value for this option");
    }
    if (info->argument != Argument::kNo && !attached) {
      if (next < words_.size() &&
          (info->argument == Argument::kYes || words_[next].text[0] != '-')) {
        argument = words_[next++];
        has_argument = true;
      } else if (info->argument == Argument::kYes) {
        return Error(word, "a value after this option");
      }
    }
    if (info->where == 0) {
      if (line.command != kNone) return Refuse(word, "a second command");
      line.command = info->option;
      line.command_word = word;
      return true;
    }
    const uint64_t bit = uint64_t{1} << info->option;
    if ((line.given & bit) != 0) return Refuse(word, "given twice");
    line.given |= bit;
    given_words_[info->option] = word;
    return Parse(info->option, has_argument, argument, line);
  }

  bool Parse(Option option, bool has_argument, const Word& word, Line& line) {
    VirtualServer& server = line.server;
    int64_t number = 0;
    switch (option) {
      case kTcp:
      case kUdp:
      case kSctp:
      case kMark:
        return ParseService(option, word, line);
      case kIpv6:
        if (server.key.fwmark == 0) {
          return Refuse({"-6", given_words_[kIpv6].column}, "used before -f");
        }
        server.key.family = IpFamily::kIpv6;
        return true;
      case kScheduler:
        if (word.text.size() > kSchedulerNameMax || word.text.empty()) {
          return Error(word, "the name of a scheduler");
        }
        server.scheduler = FindScheduler(word.text);
        if (server.scheduler == Scheduler::kOther) {
          server.other_scheduler = std::string(word.text);
        }
        return true;
      case kPersistent:
        server.persistent = true;
        server.persistence_seconds = kDefaultPersistence;
        if (!has_argument) return true;
        if (!ParseNumber(word, 1, kMaxPersistence, "seconds", number)) {
          return false;
        }
        server.persistence_seconds = static_cast<uint32_t>(number);
        return true;
      case kNetmask:
        return ParseNetmask(word, server);
      case kEngine:
        server.persistence_engine = std::string(word.text);
        return true;
      case kOnePacket:
        server.one_packet = true;
        return true;
      case kFlags:
        return ParseFlags(word, server);
      default:
        return ParseServerOption(option, word, line);
    }
  }

  bool ParseServerOption(Option option, const Word& word, Line& line) {
    int64_t number = 0;
    switch (option) {
      case kReal: {
        line.has_real = true;
        line.real_word = word;
        return ParseAddress(word, line.server.key.protocol, line.real.address,
                            line.real.port, line.real_has_port);
      }
      case kMasquerading:
        line.real.forwarding = Forwarding::kMasquerade;
        return true;
      case kGatewaying:
        line.real.forwarding = Forwarding::kRoute;
        return true;
      case kIpip:
        line.real.forwarding = Forwarding::kTunnel;
        return true;
      case kWeight:
        if (!ParseNumber(word, 0, 65535, "a weight", number)) return false;
        line.real.weight = static_cast<int32_t>(number);
        return true;
      case kUpper:
        if (!ParseNumber(word, 0, kMaxThreshold, "connections", number)) {
          return false;
        }
        line.extra.upper_threshold = static_cast<uint32_t>(number);
        return true;
      case kLower:
        if (!ParseNumber(word, 0, kMaxThreshold, "connections", number)) {
          return false;
        }
        line.extra.lower_threshold = static_cast<uint32_t>(number);
        return true;
      case kTunType:
        if (word.text == "ipip") {
          line.extra.tunnel = TunnelType::kIpip;
        } else if (word.text == "gue") {
          line.extra.tunnel = TunnelType::kGue;
        } else if (word.text == "gre") {
          line.extra.tunnel = TunnelType::kGre;
        } else {
          return Error(word, "ipip, gue or gre");
        }
        return true;
      case kTunPort:
        if (!ParseNumber(word, 1, 65535, "a port", number)) return false;
        line.extra.tunnel_port = static_cast<uint16_t>(number);
        return true;
      case kTunNoCsum:
        line.extra.tunnel_checksum = 0;
        return true;
      case kTunCsum:
        line.extra.tunnel_checksum = 1;
        return true;
      case kTunRemCsum:
        line.extra.tunnel_checksum = 2;
        return true;
      default:
        return true;
    }
  }

  bool ParseService(Option option, const Word& word, Line& line) {
    if (line.has_service) return Refuse(word, "a second virtual server");
    line.has_service = true;
    line.service_word = word;
    ServiceKey& key = line.server.key;
    if (option == kMark) {
      uint32_t mark = 0;
      if (!absl::SimpleAtoi(word.text, &mark) || mark == 0) {
        return Error(word, "a firewall mark of 1 or more");
      }
      key = ServiceKey::OfMark(mark, IpFamily::kIpv4);
      return true;
    }
    key.protocol = option == kTcp   ? Protocol::kTcp
                   : option == kUdp ? Protocol::kUdp
                                    : Protocol::kSctp;
    bool has_port = false;
    if (!ParseAddress(word, key.protocol, key.address, key.port, has_port)) {
      return false;
    }
    key.family = key.address.family();
    return true;
  }

  bool ParseNumber(const Word& word, int64_t min, int64_t max,
                   absl::string_view what, int64_t& out) {
    if (word.text.empty() || !absl::SimpleAtoi(word.text, &out) || out < min ||
        out > max) {
      return Error(word, absl::StrCat(what, " from ", min, " to ", max));
    }
    return true;
  }

  // host[:port]; IPv6 alone, or in brackets with a port.
  bool ParseAddress(const Word& word, Protocol protocol, IpAddress& address,
                    uint16_t& port, bool& has_port) {
    absl::string_view host = word.text;
    absl::string_view port_text;
    has_port = false;
    bool bracketed = false;
    if (!host.empty() && host[0] == '[') {
      const size_t close = host.find(']');
      if (close == absl::string_view::npos || close + 1 >= host.size() ||
          host[close + 1] != ':') {
        return Error(word, "[address]:port");
      }
      port_text = host.substr(close + 2);
      host = host.substr(1, close - 1);
      has_port = true;
      bracketed = true;
    }
    std::optional<IpAddress> parsed = IpAddress::Parse(host);
    if (!bracketed && !(parsed && parsed->is_v6())) {
      const size_t colon = host.rfind(':');
      if (colon != absl::string_view::npos) {
        port_text = host.substr(colon + 1);
        host = host.substr(0, colon);
        has_port = true;
      }
      parsed = IpAddress::Parse(host);
    }
    const NameService* names = options_.names;
    if (!parsed && names != nullptr && names->address_of) {
      parsed = names->address_of(host);
    }
    if (!parsed || (bracketed && !parsed->is_v6())) {
      return Error(word, "address[:port]");
    }
    address = *parsed;
    if (!has_port) return true;
    uint32_t number = 0;
    if (absl::SimpleAtoi(port_text, &number) && number <= 65535 &&
        absl::ascii_isdigit(port_text[0])) {
      port = static_cast<uint16_t>(number);
      return true;
    }
    if (names != nullptr && names->port_of) {
      if (auto known = names->port_of(port_text, protocol)) {
        port = *known;
        return true;
      }
    }
    return Error(word, "a port number after the address");
  }

  bool ParseNetmask(const Word& word, VirtualServer& server) {
    if (server.key.family == IpFamily::kIpv6) {
      int64_t length = 0;
      if (!ParseNumber(word, 1, 128, "a prefix length", length)) return false;
      server.persistence_prefix = static_cast<uint8_t>(length);
      return true;
    }
    const std::optional<IpAddress> mask = IpAddress::Parse(word.text);
    if (!mask || !mask->is_v4()) return Error(word, "an IPv4 netmask");
    server.netmask = mask->v4();
    return true;
  }

  bool ParseFlags(const Word& word, VirtualServer& server) {
    const bool sh = server.scheduler == Scheduler::kSh;
    const bool mh = server.scheduler == Scheduler::kMh;
    for (absl::string_view flag : absl::StrSplit(word.text, ',')) {
      if (flag == "flag-1" || (sh && flag == "sh-fallback") ||
          (mh && flag == "mh-fallback")) {
        server.scheduler_flags |= VirtualServer::kFlag1;
      } else if (flag == "flag-2" || (sh && flag == "sh-port") ||
                 (mh && flag == "mh-port")) {
        server.scheduler_flags |= VirtualServer::kFlag2;
      } else if (flag == "flag-3") {
        server.scheduler_flags |= VirtualServer::kFlag3;
      } else {
        return Error(word, "flags of this scheduler (after -s)");
      }
    }
    return true;
  }

  bool Check(Line& line) {
    if (line.command == kNone) {
      return Refuse(words_[0],
                    "no command (-A -E -D -a -e -d -C) in this line");
    }
    uint8_t allowed = kService;
    if (line.command == kAdd || line.command == kEdit) allowed |= kVirtual;
    if (line.command >= kAddReal && line.command <= kDeleteReal) {
      allowed |= kServer;
    }
    if (line.command == kAddReal || line.command == kEditReal) {
      allowed |= kForward;
    }
    if (line.command == kClear) allowed = 0;
    int forwardings = 0;
    for (const OptionInfo& info : kOptions) {
      if ((line.given & (uint64_t{1} << info.option)) == 0) continue;
      if ((info.where & allowed) == 0) {
        return Refuse(given_words_[info.option],
                      "does not go with this command");
      }
      if (info.option >= kMasquerading && info.option <= kIpip) ++forwardings;
    }
    if (forwardings > 1) {
      return Refuse(line.command_word, "more than one of -m, -g and -i");
    }
    if (line.command == kClear) return true;
    if (!line.has_service) {
      return Refuse(line.command_word, "no virtual server (-t -u -f)");
    }
    if ((allowed & kServer) != 0) return CheckReal(line);
    return CheckVirtual(line);
  }

  bool CheckVirtual(Line& line) {
    VirtualServer& server = line.server;
    if (line.command == kDelete) return true;
    if (server.key.fwmark == 0 && server.key.port == 0 && !server.persistent) {
      return Refuse(line.service_word, "port 0 needs a persistent service");
    }
    if (server.one_packet && server.key.fwmark == 0 &&
        server.key.protocol != Protocol::kUdp) {
      return Refuse(line.service_word, "one-packet scheduling is for UDP only");
    }
    server.unknown_options = absl::StrJoin(line.unknown, " ");
    return true;
  }

  bool CheckReal(Line& line) {
    if (!line.has_real) return Refuse(line.command_word, "no real server (-r)");
    const uint64_t forwarding = uint64_t{1} << kMasquerading |
                                uint64_t{1} << kGatewaying |
                                uint64_t{1} << kIpip;
    if ((line.given & forwarding) == 0) {
      line.real.forwarding = Forwarding::kRoute;
    }
    // The kernel's ip_vs_add_dest().
    if (line.real.forwarding == Forwarding::kTunnel &&
        line.extra.tunnel == TunnelType::kGue && line.extra.tunnel_port == 0 &&
        line.command != kDeleteReal) {
      return Refuse(given_words_[kTunType], "gue needs a --tun-port");
    }
    if (line.real.forwarding != Forwarding::kTunnel &&
        line.real.address.family() != line.server.key.family) {
      return Refuse(line.real_word,
                    "another address family needs a tunnel (-i)");
    }
    // Without NAT the port cannot change, unless the service is a mark.
    if (!line.real_has_port ||
        (line.command != kDeleteReal && line.server.key.fwmark == 0 &&
         line.real.forwarding != Forwarding::kMasquerade)) {
      line.real.port = line.server.key.port;
    }
    line.extra.unknown_options = absl::StrJoin(line.unknown, " ");
    if (line.extra != RealServerExtra()) {
      line.real.extra =
          std::make_shared<const RealServerExtra>(std::move(line.extra));
    }
    return true;
  }

  bool CarryOut(Line& line) {
    if (line.command == kClear) {
      table_.Clear();
      return true;
    }
    VirtualServer* found = table_.Find(line.server.key);
    if (line.command == kAdd) {
      if (found != nullptr) {
        return Refuse(line.service_word, "service already exists");
      }
      table_.Add(std::move(line.server));
      return true;
    }
    if (found == nullptr) return Refuse(line.service_word, "no such service");
    if (line.command == kDelete) return table_.Remove(line.server.key);
    if (line.command == kEdit) {
      line.server.real_servers = std::move(found->real_servers);
      *found = std::move(line.server);
      return true;
    }
    const int index = found->Find(line.real.address, line.real.port);
    if (line.command == kAddReal) {
      if (index >= 0) {
        return Refuse(line.real_word, "destination already exists");
      }
      found->real_servers.push_back(std::move(line.real));
      return true;
    }
    if (index < 0) return Refuse(line.real_word, "no such destination");
    if (line.command == kEditReal) {
      found->real_servers[index] = std::move(line.real);
    } else {
      found->real_servers.erase(found->real_servers.begin() + index);
    }
    return true;
  }

  const absl::string_view file_name_;
  const IpvsadmOptions& options_;
  Table& table_;
  int64_t line_number_ = 0;
  std::vector<Word> words_;
  Word given_words_[kTunRemCsum + 1] = {};
  std::vector<std::string> errors_;
};

}  // namespace

absl::Status ApplyIpvsadm(absl::string_view text, absl::string_view file_name,
                          Table& table, const IpvsadmOptions& options) {
  return Reader(file_name, options, table).Read(text);
}

absl::StatusOr<Table> ReadIpvsadm(absl::string_view text,
                                  absl::string_view file_name,
                                  const IpvsadmOptions& options) {
  Table table;
  if (absl::Status status = ApplyIpvsadm(text, file_name, table, options);
      !status.ok()) {
    return status;
  }
  return table;
}

}  // namespace k8sdns::ipvs
