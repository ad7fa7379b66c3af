// Go 1.22, without cgo: src/net/dnsclient_unix.go and lookup.go, as
// net.Resolver.LookupIP() uses them.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "k8sdns/dns/address_order.h"
#include "k8sdns/dns/hosts_file.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/query_name.h"
#include "k8sdns/dns/resolver_libraries.h"

namespace k8sdns::dns {
namespace {

constexpr int kServFail = 2;
constexpr int kNxDomain = 3;
constexpr size_t kMaxName = 254;

// A net.DNSError.
struct GoError {
  std::string message;
  bool not_found = false;
  bool timeout = false;
  bool temporary = false;
};

// What one goroutine brings back for one type.
struct TypeResult {
  std::optional<GoError> error;
  std::vector<AnswerRecord> records;
  absl::Duration end;
  size_t queries = 0;
};

std::string HostPort(const NameServer& server, int port) {
  std::string host = server.address.ToString();
  if (!server.zone.empty()) absl::StrAppend(&host, "%", server.zone);
  if (server.address.is_v6()) host = absl::StrCat("[", host, "]");
  return absl::StrCat(host, ":", port);
}

bool AvoidDns(absl::string_view name) {
  if (name.empty()) return true;
  if (absl::EndsWith(name, ".")) name.remove_suffix(1);
  return absl::EndsWithIgnoreCase(name, ".onion");
}

class Go {
 public:
  explicit Go(LibraryRun& run)
      : run_(run), settings_(run.settings), world_(run.world) {}

  LookupResult Call() {
    const std::string& name = run_.call.name;
    if (name.empty()) return Failed({"no such host", true});
    if (const auto literal = ParseGoLiteral(name)) {
      return Found({UnmapIpv4Literal(literal->address)});
    }
    const HostsMatch hosts = GoHosts(run_.host.hosts, name);
    if (hosts.found) return Found(hosts.addresses);
    if (!GoIsDomainName(name)) return Failed({"no such host", true});
    return FromDns(name);
  }

  bool rotated() const { return settings_.rotate; }
  bool raced() const { return raced_; }

 private:
  static IpAddress UnmapIpv4Literal(const IpAddress& a) {
    // net.IP prints an IPv4-mapped address as IPv4.
    const std::string text = a.ToString();
    return IpAddress::ParseSloppy(text).value_or(a);
  }

  static LookupResult Failed(const GoError& error) {
    LookupResult out = ResultWithCode(error.not_found   ? "not-found"
                                      : error.timeout   ? "timeout"
                                      : error.temporary ? "temporary"
                                                        : "error");
    out.message = error.message;
    return out;
  }

  // LookupIP() drops the addresses of other families last.
  LookupResult Found(std::vector<IpAddress> addresses) {
    SortAddresses(run_.host, Library::kGo1_22, addresses);
    const LookupFamily family = run_.call.family;
    if (family != LookupFamily::kUnspec) {
      std::erase_if(addresses, [&](const IpAddress& a) {
        return a.is_v4() != (family == LookupFamily::kInet);
      });
    }
    if (addresses.empty()) {
      return Failed({absl::StrCat("address ", run_.call.name,
                                  ": no suitable address found")});
    }
    LookupResult out = ResultWithCode("OK");
    out.addresses = std::move(addresses);
    return out;
  }

  std::vector<std::string> NameList(absl::string_view name) const {
    const bool rooted = absl::EndsWith(name, ".");
    if (name.size() > kMaxName || (name.size() == kMaxName && !rooted)) {
      return {};
    }
    if (rooted) {
      if (AvoidDns(name)) return {};
      return {std::string(name)};
    }
    const bool enough_dots =
        std::count(name.begin(), name.end(), '.') >= settings_.ndots;
    const std::string absolute = absl::StrCat(name, ".");
    std::vector<std::string> out;
    if (enough_dots && !AvoidDns(absolute)) out.push_back(absolute);
    for (const std::string& suffix : settings_.search) {
      std::string fqdn = absl::StrCat(absolute, suffix);
      if (!AvoidDns(fqdn) && fqdn.size() <= kMaxName) {
        out.push_back(std::move(fqdn));
      }
    }
    if (!enough_dots && !AvoidDns(absolute)) out.push_back(absolute);
    return out;
  }

  LookupResult FromDns(const std::string& name) {
    std::vector<uint16_t> types;
    if (run_.call.family != LookupFamily::kInet6) types.push_back(kTypeA);
    if (run_.call.family != LookupFamily::kInet) types.push_back(kTypeAaaa);
    std::optional<GoError> last_error;
    std::vector<IpAddress> addresses;
    for (const std::string& fqdn : NameList(name)) {
      for (TypeResult& r : AskTypes(fqdn, types)) {
        if (r.error.has_value()) {
          // The error for the original name is preferred.
          if (!last_error.has_value() || fqdn == absl::StrCat(name, ".")) {
            last_error = std::move(r.error);
          }
          continue;
        }
        for (const AnswerRecord& record : r.records) {
          if (record.type == kTypeA || record.type == kTypeAaaa) {
            addresses.push_back(record.address);
          }
        }
      }
      if (!addresses.empty()) break;
    }
    if (addresses.empty() && last_error.has_value()) return Failed(*last_error);
    return Found(std::move(addresses));
  }

  // All types of one name, in the order in which they finish.
  std::vector<TypeResult> AskTypes(const std::string& fqdn,
                                   const std::vector<uint16_t>& types) {
    std::vector<TypeResult> results;
    const absl::Duration start = world_.now();
    const size_t first_query = world_.queries().size();
    for (uint16_t type : types) {
      if (!settings_.single_request) world_.Rewind(start);
      results.push_back(TryOneName(fqdn, type));
    }
    if (settings_.single_request || types.size() < 2) return results;
    Interleave(first_query, results[0].queries);
    if (results[0].queries > 1 && results[1].queries > 1) raced_ = true;
    if (results[1].end < results[0].end) std::swap(results[0], results[1]);
    world_.AdvanceTo(results[1].end);
    return results;
  }

  // Two goroutines ran one after the other; show them in step. What goes to
  // one server at one time is shown A first.
  void Interleave(size_t first, size_t count_of_a) {
    struct Step {
      absl::Duration time;
      size_t step;
      int lane;
      SentQuery query;
    };
    std::vector<SentQuery>& all = world_.queries();
    std::vector<Step> steps;
    for (size_t i = first; i < all.size(); ++i) {
      const bool a = i < first + count_of_a;
      steps.push_back({all[i].time, a ? i - first : i - first - count_of_a,
                       a ? 0 : 1, std::move(all[i])});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& x, const Step& y) {
                       if (x.time != y.time) return x.time < y.time;
                       return x.step < y.step;
                     });
    for (auto run = steps.begin(); run != steps.end();) {
      auto end = run;
      while (end != steps.end() && end->time == run->time &&
             end->query.server == run->query.server) {
        ++end;
      }
      std::stable_sort(run, end, [](const Step& x, const Step& y) {
        return x.lane < y.lane;
      });
      run = end;
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      all[first + i] = std::move(steps[i].query);
    }
  }

  TypeResult TryOneName(const std::string& fqdn, uint16_t type) {
    TypeResult out;
    const size_t before = world_.queries().size();
    OutgoingQuery query;
    query.type = type;
    query.flags.ad = settings_.trust_ad;
    const bool named = MakeName(fqdn, query.labels);
    if (!named) out.error = GoError{"cannot marshal DNS message"};
    const size_t servers = settings_.servers.size();
    const size_t offset =
        settings_.rotate ? server_offset_++ % servers : size_t{0};
    bool done = !named;
    for (int i = 0; i < settings_.attempts && !done; ++i) {
      for (size_t j = 0; j < servers && !done; ++j) {
        done = AskServer(settings_.servers[(offset + j) % servers], query, out);
      }
    }
    out.end = world_.now();
    out.queries = world_.queries().size() - before;
    return out;
  }

  // Labels longer than 63 or empty ones cannot be packed.
  static bool MakeName(absl::string_view fqdn, Labels& labels) {
    if (fqdn == ".") return true;
    while (!fqdn.empty()) {
      const size_t dot = fqdn.find('.');
      if (dot == 0 || dot == absl::string_view::npos || dot > 63) return false;
      labels.push_back(std::string(fqdn.substr(0, dot)));
      fqdn.remove_prefix(dot + 1);
    }
    return true;
  }

  // True if no other server is to be asked.
  bool AskServer(const NameServer& server, const OutgoingQuery& query,
                 TypeResult& out) {
    Answer answer;
    out.error = Exchange(server, query, answer);
    if (out.error.has_value()) return false;
    if (answer.rcode == kNxDomain) {
      out.error = GoError{"no such host", true};
      return true;
    }
    if (answer.rcode == 0 && !answer.authoritative &&
        !answer.recursion_available && answer.records.empty()) {
      out.error = GoError{"lame referral"};
      return false;
    }
    if (answer.rcode != 0) {
      out.error = GoError{"server misbehaving"};
      out.error->temporary = answer.rcode == kServFail;
      return false;
    }
    const auto first = std::find_if(
        answer.records.begin(), answer.records.end(),
        [&](const AnswerRecord& r) { return r.type == query.type; });
    if (first == answer.records.end()) {
      out.error = GoError{"no such host", true};
      return true;
    }
    out.records.assign(first, answer.records.end());
    return true;
  }

  std::optional<GoError> Exchange(const NameServer& server,
                                  const OutgoingQuery& query, Answer& answer) {
    std::vector<Transport> transports = {Transport::kTcp};
    if (!settings_.use_vc)
      transports.insert(transports.begin(), Transport::kUdp);
    for (Transport transport : transports) {
      const absl::string_view network =
          transport == Transport::kUdp ? "udp" : "tcp";
      const auto source =
          ChooseSource(run_.host, server.address, !server.zone.empty());
      if (server.bad_zone || !source.has_value()) {
        return SocketError(absl::StrCat(
            "dial ", network, " ", HostPort(server, 53), ": connect: ",
            server.bad_zone ? "invalid argument" : "network is unreachable"));
      }
      const int socket = world_.NewSocket();
      answer = world_.Send(socket, server, transport, query);
      const NameServer self{source->address, server.zone, false};
      const std::string path =
          absl::StrCat("read ", network, " ", HostPort(self, 32768 + socket),
                       "->", HostPort(server, 53), ": ");
      switch (answer.fate) {
        case Answer::Fate::kReply:
          break;
        case Answer::Fate::kNoReply: {
          world_.Advance(absl::Seconds(settings_.timeout_seconds));
          GoError error = SocketError(absl::StrCat(path, "i/o timeout"));
          error.timeout = true;
          return error;
        }
        case Answer::Fate::kUnreachable:
          return SocketError(
              transport == Transport::kUdp
                  ? absl::StrCat(path, "read: connection refused")
                  : absl::StrCat("dial tcp ", HostPort(server, 53),
                                 ": connect: connection refused"));
      }
      if (transport == Transport::kTcp || !answer.truncated) break;
    }
    return std::nullopt;
  }

  static GoError SocketError(std::string message) {
    GoError error{std::move(message)};
    error.temporary = true;
    return error;
  }

  LibraryRun& run_;
  const ResolverSettings& settings_;
  ResolverWorld& world_;
  size_t server_offset_ = 0;
  bool raced_ = false;
};

}  // namespace

void RunGo(LibraryRun& run) {
  if (run.call.function != LookupFunction::kGetaddrinfo) {
    run.results.push_back(ResultWithCode("unsupported"));
    return;
  }
  Go go(run);
  for (int i = 0; i < run.call.repeat; ++i) {
    run.results.push_back(go.Call());
    if (run.world.out_of_patience()) break;
  }
  run.order_varies |= go.raced() || go.rotated();
}

}  // namespace k8sdns::dns
