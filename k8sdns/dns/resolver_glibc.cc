// glibc 2.36: res_query.c, nss_dns, nss_files and getaddrinfo.c over
// GlibcSender.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "k8sdns/dns/address_order.h"
#include "k8sdns/dns/glibc_send.h"
#include "k8sdns/dns/hosts_file.h"
#include "k8sdns/dns/libc_text.h"
#include "k8sdns/dns/query_name.h"
#include "k8sdns/dns/resolver_libraries.h"

namespace k8sdns::dns {
namespace {

constexpr int kNxDomain = 3;
constexpr int kEdnsSize = 1200;    // RESOLV_EDNS_BUFFER_SIZE
constexpr size_t kMaxName = 1025;  // MAXDNAME

enum class HErrno { kSuccess, kHostNotFound, kTryAgain, kNoRecovery, kNoData };
enum class NssStatus { kSuccess, kNotFound, kTryAgain, kUnavailable };

absl::string_view HErrnoName(HErrno e) {
  switch (e) {
    case HErrno::kSuccess:
      return "NETDB_SUCCESS";
    case HErrno::kHostNotFound:
      return "HOST_NOT_FOUND";
    case HErrno::kTryAgain:
      return "TRY_AGAIN";
    case HErrno::kNoRecovery:
      return "NO_RECOVERY";
    case HErrno::kNoData:
      return "NO_DATA";
  }
  return "?";
}

// A name as ns_name_ntop() prints it: without the final dot.
std::string Printed(absl::string_view name) {
  if (name.size() > 1 && absl::EndsWith(name, ".")) name.remove_suffix(1);
  return std::string(name);
}

bool IsHostName(absl::string_view text) {
  const std::optional<Labels> labels = GlibcName(text);
  return labels.has_value() && GlibcHostNameOk(*labels);
}

struct DnsAddresses {
  NssStatus status = NssStatus::kNotFound;
  std::vector<IpAddress> addresses;
  std::string canonical_name;
  size_t bytes = 0;  // of the caller's buffer
};

class Glibc {
 public:
  explicit Glibc(LibraryRun& run)
      : run_(run),
        settings_(run.settings),
        sender_(run.settings, run.host.rotate_start, run.world) {}

  LookupResult Call() {
    const LookupCall& call = run_.call;
    switch (call.function) {
      case LookupFunction::kGetaddrinfo:
      case LookupFunction::kCanon:
        return GetAddrInfo();
      case LookupFunction::kGethostbyname:
        return GetHostByName();
      case LookupFunction::kResSearch:
      case LookupFunction::kResQuery:
        break;
    }
    if (Dead()) return ResultWithCode(settings_.death);
    sender_.clear_error();
    const bool ok = call.function == LookupFunction::kResSearch
                        ? Search(call.name, {call.type})
                        : Query(call.name, {call.type});
    if (!ok) return ResultWithCode(HErrnoName(h_errno_));
    LookupResult out = ResultWithCode("OK");
    out.rcode = first_.answer.rcode;
    out.answer_count = static_cast<int>(first_.answer.records.size());
    return out;
  }

  bool rotated() const { return sender_.rotated(); }

 private:
  bool Dead() const { return !settings_.death.empty(); }

  // __res_context_query(): true if there is an answer to read in the buffers.
  bool Query(absl::string_view name, const std::vector<uint16_t>& types) {
    first_.answer.rcode = 0;
    const std::optional<Labels> labels = GlibcName(name);
    if (!labels.has_value()) {
      h_errno_ = HErrno::kNoRecovery;
      sender_.set_error(GlibcErrno::kMessageSize);
      return false;
    }
    second_.length = 0;
    // no-aaaa asks for A instead, without EDNS, to tell NXDOMAIN from NODATA.
    const bool suppressed =
        settings_.no_aaaa && types.size() == 1 && types[0] == kTypeAaaa;
    std::vector<OutgoingQuery> queries;
    for (uint16_t type : types) {
      OutgoingQuery q;
      q.type = suppressed ? kTypeA : type;
      q.labels = *labels;
      if (settings_.edns0 && !suppressed) q.flags.edns_size = kEdnsSize;
      q.flags.ad = settings_.trust_ad;
      queries.push_back(std::move(q));
    }
    if (suppressed) first_ = GlibcBuffer();
    const int n = sender_.Send(queries, first_, second_);
    if (suppressed) {
      first_.answer.records.clear();
      // Without any packet the failure is overlooked: NODATA.
      if (n < 0 && first_.length == 0) return Judge();
    }
    if (n < 0) {
      h_errno_ = HErrno::kTryAgain;
      return false;
    }
    first_.length = n;
    return Judge();
  }

  bool Judge() {
    const Answer* a = &first_.answer;
    const Answer* b = &second_.answer;
    if (second_.length < 12) {
      b = a;
    } else if (first_.length < 12) {
      a = b;
    }
    const auto good = [](const Answer& x) {
      return x.rcode == 0 && !x.records.empty();
    };
    if (good(*a) || good(*b)) return true;
    switch (a->rcode == 0 ? b->rcode : a->rcode) {
      case kNxDomain:
        h_errno_ = HErrno::kHostNotFound;
        break;
      case 2:
        h_errno_ = HErrno::kTryAgain;
        break;
      case 0:
        h_errno_ = HErrno::kNoData;
        break;
      default:
        h_errno_ = HErrno::kNoRecovery;
    }
    return false;
  }

  bool QueryDomain(absl::string_view name, absl::string_view domain,
                   const std::vector<uint16_t>& types) {
    if (name.size() + domain.size() + 1 >= kMaxName) {
      h_errno_ = HErrno::kNoRecovery;
      return false;
    }
    return Query(absl::StrCat(name, ".", domain), types);
  }
  bool QueryAsIs(absl::string_view name, const std::vector<uint16_t>& types) {
    if (name.empty() || name.size() >= kMaxName) {
      h_errno_ = HErrno::kNoRecovery;
      return false;
    }
    return Query(name, types);
  }

  // __res_context_search().
  bool Search(absl::string_view name, const std::vector<uint16_t>& types) {
    sender_.clear_error();
    h_errno_ = HErrno::kHostNotFound;
    const int dots =
        static_cast<int>(std::count(name.begin(), name.end(), '.'));
    const bool trailing_dot = absl::EndsWith(name, ".");
    std::optional<HErrno> saved;
    if (dots >= settings_.ndots || trailing_dot) {
      if (QueryAsIs(name, types)) return true;
      if (trailing_dot) return false;
      saved = h_errno_;
    }
    SearchState state;
    if (!trailing_dot) {
      for (const std::string& entry : settings_.search) {
        if (TryDomain(name, entry, types, state)) return true;
        if (state.connection_refused) return false;
        if (state.done) break;
      }
    }
    const bool searched = !trailing_dot && !settings_.search.empty();
    if ((dots > 0 || !searched || !settings_.no_tld_query) &&
        !(saved.has_value() || state.root_on_list)) {
      if (QueryAsIs(name, types)) return true;
    }
    if (saved.has_value()) {
      h_errno_ = *saved;
    } else if (state.got_no_data) {
      h_errno_ = HErrno::kNoData;
    } else if (state.got_servfail) {
      h_errno_ = HErrno::kTryAgain;
    }
    return false;
  }

  struct SearchState {
    bool root_on_list = false;
    bool got_no_data = false;
    bool got_servfail = false;
    bool done = false;
    bool connection_refused = false;
  };

  bool TryDomain(absl::string_view name, absl::string_view domain,
                 const std::vector<uint16_t>& types, SearchState& state) {
    absl::ConsumePrefix(&domain, ".");
    if (domain.empty()) state.root_on_list = true;
    if (QueryDomain(name, domain, types)) return true;
    if (sender_.error() == GlibcErrno::kConnRefused) {
      h_errno_ = HErrno::kTryAgain;
      state.connection_refused = true;
      return false;
    }
    switch (h_errno_) {
      case HErrno::kNoData:
        state.got_no_data = true;
        break;
      case HErrno::kHostNotFound:
        break;
      case HErrno::kTryAgain:
        if (first_.answer.rcode == 2) {
          state.got_servfail = true;
          break;
        }
        state.done = true;
        break;
      default:
        state.done = true;
    }
    return false;
  }

  // The status of nss_dns after a failed search.
  NssStatus FailureStatus() const {
    const bool unavailable = sender_.error() == GlibcErrno::kConnRefused ||
                             sender_.error() == GlibcErrno::kTimedOut;
    return unavailable ? NssStatus::kUnavailable : NssStatus::kNotFound;
  }

  // Addresses of one message, following its CNAMEs.
  static void ReadAddresses(const GlibcBuffer& buffer, DnsAddresses& out,
                            std::string* canonical) {
    std::string expected = ShowName(buffer.query.labels);
    for (const AnswerRecord& r : buffer.answer.records) {
      if (r.type == kTypeCname) {
        expected = r.target;
        if (canonical != nullptr && IsHostName(r.target)) {
          *canonical = r.target;
        }
      } else if (r.type == buffer.query.type &&
                 absl::EqualsIgnoreCase(r.owner, expected)) {
        out.addresses.push_back(r.address);
      }
    }
  }

  // A result that does not fit the caller's buffer makes it double the buffer
  // and ask again from the start: large answers cost more queries.
  template <typename Lookup>
  static DnsAddresses UntilItFits(Lookup lookup) {
    size_t room = 1024;
    while (true) {
      DnsAddresses out = lookup();
      if (out.bytes <= room) return out;
      room *= 2;
    }
  }

  DnsAddresses OneFamily(absl::string_view name, uint16_t type) {
    return UntilItFits([&] { return OneFamilyOnce(name, type); });
  }

  // gethostbyname3_context() and getanswer_r(): one family.
  DnsAddresses OneFamilyOnce(absl::string_view name, uint16_t type) {
    DnsAddresses out;
    if (!Search(name, {type})) {
      out.status = FailureStatus();
      return out;
    }
    if (first_.answer.rcode == kNxDomain ||
        !GlibcHostNameOk(first_.query.labels)) {
      h_errno_ = HErrno::kHostNotFound;
      return out;
    }
    std::string canonical = ShowName(first_.query.labels);
    ReadAddresses(first_, out, &canonical);
    if (out.addresses.empty()) {
      h_errno_ = HErrno::kNoRecovery;
      out.status = NssStatus::kTryAgain;
      return out;
    }
    out.bytes = HostentBytes(out.addresses.size(), type);
    h_errno_ = HErrno::kSuccess;
    out.status = NssStatus::kSuccess;
    out.canonical_name = Printed(canonical);
    if (type == kTypeA) SortByList(out.addresses);
    return out;
  }

  // The names, the addresses, and a null-terminated array of pointers for each.
  size_t HostentBytes(size_t addresses, uint16_t type) const {
    std::vector<std::string> names = {ShowName(first_.query.labels)};
    for (const AnswerRecord& r : first_.answer.records) {
      if (r.type == kTypeCname && IsHostName(r.target)) {
        names.push_back(r.target);
      }
    }
    size_t bytes = 0;
    for (const std::string& n : names) bytes += Printed(n).size() + 1;
    const auto align = [&](size_t to) { bytes = (bytes + to - 1) / to * to; };
    align(4);
    bytes += addresses * (type == kTypeA ? 4 : 16);
    align(8);
    return bytes + 8 * (addresses + 1 + names.size());
  }

  // addrsort(): by the first entry of `sortlist` that matches.
  void SortByList(std::vector<IpAddress>& addresses) const {
    if (settings_.sort_list.empty()) return;
    constexpr size_t kMaxSorted = 48;  // MAX_NR_ADDRS
    const auto rank = [&](const IpAddress& a) {
      size_t i = 0;
      while (i < settings_.sort_list.size() &&
             settings_.sort_list[i].address !=
                 (a.v4() & settings_.sort_list[i].mask)) {
        ++i;
      }
      return i;
    };
    const auto end = addresses.begin() + std::min(addresses.size(), kMaxSorted);
    std::stable_sort(addresses.begin(), end,
                     [&](const IpAddress& a, const IpAddress& b) {
                       return rank(a) < rank(b);
                     });
  }

  // gaih_getanswer_slice().
  NssStatus Slice(const GlibcBuffer& buffer, bool store_canon,
                  DnsAddresses& out) {
    h_errno_ = HErrno::kHostNotFound;
    if (buffer.answer.records.empty() ||
        !GlibcHostNameOk(buffer.query.labels)) {
      return NssStatus::kNotFound;
    }
    const size_t before = out.addresses.size();
    std::string canonical = ShowName(buffer.query.labels);
    ReadAddresses(buffer, out, &canonical);
    if (out.addresses.size() == before) return NssStatus::kNotFound;
    if (store_canon) out.canonical_name = Printed(canonical);
    h_errno_ = HErrno::kSuccess;
    return NssStatus::kSuccess;
  }

  DnsAddresses BothFamilies(absl::string_view name) {
    if (!IsHostName(name)) {
      h_errno_ = HErrno::kHostNotFound;
      return {};
    }
    return UntilItFits([&] {
      DnsAddresses out = BothFamiliesOnce(name);
      constexpr size_t kTuple = 40;  // struct gaih_addrtuple
      const size_t name_bytes = out.canonical_name.size() + 1;
      if (out.addresses.size() == 1) out.bytes = kTuple + name_bytes;
      if (out.addresses.size() > 1) {
        out.bytes = kTuple * out.addresses.size() + (name_bytes + 7) / 8 * 8;
      }
      return out;
    });
  }

  // _nss_dns_gethostbyname4_r().
  DnsAddresses BothFamiliesOnce(absl::string_view name) {
    DnsAddresses out;
    const bool found = settings_.no_aaaa ? Search(name, {kTypeA})
                                         : Search(name, {kTypeA, kTypeAaaa});
    if (!found) {
      out.status = FailureStatus();
      return out;
    }
    if (first_.length >= 12) out.status = Slice(first_, true, out);
    if (second_.length >= 12) {
      const NssStatus second =
          Slice(second_, out.status != NssStatus::kSuccess, out);
      if (out.status != NssStatus::kSuccess && second != NssStatus::kNotFound) {
        out.status = second;
      }
    }
    return out;
  }

  LookupResult GetAddrInfo() {
    const LookupCall& call = run_.call;
    const auto literal =
        ParseCLiteral(call.name, run_.host.environment.interfaces);
    if (literal.has_value()) return Literal(*literal);
    if (Dead()) return ResultWithCode(settings_.death);
    if (call.function == LookupFunction::kGetaddrinfo &&
        call.family == LookupFamily::kInet) {
      return SimpleInet();
    }
    const HostsMatch hosts =
        GlibcHosts(run_.host.hosts, call.name, call.family);
    if (hosts.found) return Found(hosts.addresses, hosts.canonical_name);
    DnsAddresses dns;
    if (call.family == LookupFamily::kUnspec) {
      dns = BothFamilies(call.name);
    } else if (call.function == LookupFunction::kCanon ||
               IsHostName(call.name)) {
      dns = OneFamily(call.name,
                      call.family == LookupFamily::kInet ? kTypeA : kTypeAaaa);
    } else {
      h_errno_ = HErrno::kHostNotFound;
    }
    if (dns.status == NssStatus::kSuccess) {
      return Found(dns.addresses, dns.canonical_name);
    }
    if (h_errno_ == HErrno::kTryAgain) return ResultWithCode("EAI_AGAIN");
    return ResultWithCode(h_errno_ == HErrno::kNoData ? "EAI_NODATA"
                                                      : "EAI_NONAME");
  }

  LookupResult Literal(const ZonedAddress& literal) {
    IpAddress address = literal.address;
    if (run_.call.family == LookupFamily::kInet && address.is_v6()) {
      // IPv4-mapped is IPv4; glibc has no name for the rest.
      std::array<uint8_t, 16> mapped = {};
      mapped[10] = mapped[11] = 0xff;
      if (!IpPrefix(IpAddress::V6(mapped), 96).Contains(address)) {
        return ResultWithCode("EAI_ADDRFAMILY");
      }
      const auto& b = address.bytes();
      address = IpAddress::V4(uint32_t{b[12]} << 24 | uint32_t{b[13]} << 16 |
                              uint32_t{b[14]} << 8 | b[15]);
    }
    if (run_.call.family == LookupFamily::kInet6 && address.is_v4()) {
      return ResultWithCode("EAI_ADDRFAMILY");
    }
    if (literal.bad_zone) return ResultWithCode("EAI_NONAME");
    return Found({address}, run_.call.name);
  }

  // getaddrinfo() for AF_INET without AI_CANONNAME is gethostbyname2_r().
  LookupResult SimpleInet() {
    const std::string& name = run_.call.name;
    if (const auto digits = DigitsAndDots(name)) {
      if (digits->has_value()) return Found({**digits}, name);
      return ResultWithCode("EAI_NONAME");
    }
    const HostsMatch hosts =
        GlibcHosts(run_.host.hosts, name, LookupFamily::kInet);
    if (hosts.found) return Found(hosts.addresses, hosts.canonical_name);
    if (!IsHostName(name)) return ResultWithCode("EAI_NONAME");
    const DnsAddresses dns = OneFamily(name, kTypeA);
    switch (dns.status) {
      case NssStatus::kSuccess:
        return Found(dns.addresses, dns.canonical_name);
      case NssStatus::kTryAgain:
        return ResultWithCode("EAI_NODATA");
      case NssStatus::kUnavailable:
        if (h_errno_ == HErrno::kTryAgain) return ResultWithCode("EAI_AGAIN");
        break;
      case NssStatus::kNotFound:
        break;
    }
    return ResultWithCode(h_errno_ == HErrno::kNoData ? "EAI_NODATA"
                                                      : "EAI_NONAME");
  }

  // __nss_hostname_digits_dots() for AF_INET: nullopt if the name is not one
  // of its; an inner nullopt refuses the name.
  static std::optional<std::optional<IpAddress>> DigitsAndDots(
      absl::string_view name) {
    if (name.empty()) return std::nullopt;
    const bool all_numeric =
        absl::ascii_isdigit(name[0]) &&
        name.find_first_not_of("0123456789.") == absl::string_view::npos;
    if (all_numeric && name.back() != '.') {
      const std::optional<uint32_t> a = ParseAton(name);
      if (!a.has_value()) return std::optional<IpAddress>();
      return std::optional<IpAddress>(IpAddress::V4(*a));
    }
    if (name[0] == ':' ||
        (absl::ascii_isxdigit(name[0]) && absl::StrContains(name, ':'))) {
      return std::optional<IpAddress>();
    }
    return std::nullopt;
  }

  LookupResult GetHostByName() {
    if (Dead()) return ResultWithCode(settings_.death);
    const std::string& name = run_.call.name;
    LookupResult out = ResultWithCode("OK");
    if (const auto digits = DigitsAndDots(name)) {
      if (!digits->has_value()) return ResultWithCode("HOST_NOT_FOUND");
      out.addresses = {**digits};
      out.canonical_name = name;
      return out;
    }
    const HostsMatch hosts =
        GlibcHosts(run_.host.hosts, name, LookupFamily::kInet);
    if (hosts.found) {
      out.addresses = hosts.addresses;
      out.canonical_name = hosts.canonical_name;
      return out;
    }
    if (!IsHostName(name)) return ResultWithCode("HOST_NOT_FOUND");
    DnsAddresses dns = OneFamily(name, kTypeA);
    if (dns.status != NssStatus::kSuccess) {
      return ResultWithCode(HErrnoName(h_errno_));
    }
    out.addresses = std::move(dns.addresses);
    out.canonical_name = std::move(dns.canonical_name);
    return out;
  }

  LookupResult Found(std::vector<IpAddress> addresses,
                     const std::string& canonical_name) {
    SortAddresses(run_.host, Library::kGlibc2_36, addresses);
    LookupResult out = ResultWithCode("OK");
    out.addresses = std::move(addresses);
    if (run_.call.function == LookupFunction::kCanon) {
      out.canonical_name = canonical_name;
    }
    return out;
  }

  LibraryRun& run_;
  const ResolverSettings& settings_;
  GlibcSender sender_;
  GlibcBuffer first_;
  GlibcBuffer second_;
  HErrno h_errno_ = HErrno::kSuccess;
};

}  // namespace

void RunGlibc(LibraryRun& run) {
  Glibc glibc(run);
  for (int i = 0; i < run.call.repeat; ++i) {
    LookupResult result = glibc.Call();
    if (result.rc == "hangs") run.world.Hang();
    const bool dead = absl::StartsWith(result.rc, "killed");
    run.results.push_back(std::move(result));
    if (dead || run.world.out_of_patience()) break;
  }
  run.order_varies |= glibc.rotated();
}

}  // namespace k8sdns::dns
