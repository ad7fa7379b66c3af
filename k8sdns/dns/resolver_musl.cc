// musl 1.1.24, 1.2.3 and 1.2.5: src/network/lookup_name.c, res_msend.c,
// res_query.c, dns_parse.c and gethostbyname2_r.c.
#include <algorithm>
#include <cstdint>
#include <deque>
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
constexpr size_t kMaxAddresses = 48;  // MAXADDRS
constexpr size_t kMaxName = 254;
constexpr size_t kNameBuffer = 256;
// poll() returns a little late. It adds up: three intervals of a third of the
// timeout end after it, and a fourth round of queries is not sent.
constexpr absl::Duration kLate = absl::Microseconds(700);

// kNextName: not this name; the next one of the search list.
enum class Eai { kOk, kNoName, kNoData, kAgain, kFail, kNextName };

struct MuslReply {
  int length = 0;  // 0: none that counts; otherwise as received
  Answer answer;
};

// Bytes of a record: a compressed owner, type, class, TTL, length, data.
int RecordSize(const AnswerRecord& r) {
  int data = r.data_size;
  if (data == 0 && r.type == kTypeA) data = 4;
  if (data == 0 && r.type == kTypeAaaa) data = 16;
  if (data == 0 && r.type == kTypeCname) {
    data = static_cast<int>(r.target.size()) + 1;
  }
  return 12 + data;
}

class Musl {
 public:
  explicit Musl(LibraryRun& run)
      : run_(run),
        settings_(run.settings),
        version_(run.settings.library),
        world_(run.world) {}

  LookupResult Call() {
    const LookupCall& call = run_.call;
    switch (call.function) {
      case LookupFunction::kResSearch:  // an alias of res_query()
      case LookupFunction::kResQuery:
        return ResQuery();
      case LookupFunction::kGethostbyname:
        return GetHostByName();
      case LookupFunction::kGetaddrinfo:
      case LookupFunction::kCanon:
        break;
    }
    return Finish(LookupName(call.family));
  }

  bool raced() const { return raced_; }

 private:
  bool modern() const { return version_ == Library::kMusl1_2_5; }

  LookupResult Finish(Eai eai) {
    if (!death_.empty()) return ResultWithCode(death_);
    const bool hbn = run_.call.function == LookupFunction::kGethostbyname;
    switch (eai) {
      case Eai::kOk:
        break;
      case Eai::kNoName:
      case Eai::kNextName:
        return ResultWithCode(hbn ? "HOST_NOT_FOUND" : "EAI_NONAME");
      case Eai::kNoData:
        return ResultWithCode(hbn ? "NO_DATA" : "EAI_NODATA");
      case Eai::kAgain:
        return ResultWithCode(hbn ? "TRY_AGAIN" : "EAI_AGAIN");
      case Eai::kFail:
        return ResultWithCode(hbn ? "NO_RECOVERY" : "EAI_FAIL");
    }
    LookupResult out = ResultWithCode("OK");
    out.addresses = addresses_;
    out.canonical_name = canon_;
    return out;
  }

  // gethostbyname() starts with a small buffer, and looks the name up again
  // with twice the size until the result fits.
  LookupResult GetHostByName() {
    constexpr size_t kHostent = 32;  // sizeof(struct hostent)
    size_t size = 127;
    while (true) {
      const Eai eai = LookupName(LookupFamily::kInet);
      const size_t need = 4 * 8 + (addresses_.size() + 1) * (8 + 4) +
                          run_.call.name.size() + 1 + canon_.size() + 1;
      if (eai != Eai::kOk || !death_.empty() || need <= size - kHostent) {
        return Finish(eai);
      }
      size += size + 1;
    }
  }

  Eai WrongFamily() const { return modern() ? Eai::kNoData : Eai::kNoName; }

  // __lookup_name().
  Eai LookupName(LookupFamily family) {
    const std::string& name = run_.call.name;
    addresses_.clear();
    if (name.empty() || name.size() > kMaxName) return Eai::kNoName;
    canon_ = name;
    const auto literal = ParseCLiteral(name, run_.host.environment.interfaces);
    if (literal.has_value()) {
      if (literal->bad_zone) return Eai::kNoName;
      if (family != LookupFamily::kUnspec &&
          (family == LookupFamily::kInet) != literal->address.is_v4()) {
        return WrongFamily();
      }
      addresses_ = {literal->address};
      return Eai::kOk;
    }
    const HostsMatch hosts = MuslHosts(run_.host.hosts, name, family, version_,
                                       run_.host.environment.interfaces);
    if (hosts.found) {
      addresses_ = hosts.addresses;
      if (!hosts.canonical_name.empty()) canon_ = hosts.canonical_name;
    } else if (hosts.other_family_only) {
      return WrongFamily();
    } else {
      const Eai eai = SearchDns(name, family);
      if (eai != Eai::kOk) return eai;
    }
    if (family != LookupFamily::kInet) {
      SortAddresses(run_.host, version_, addresses_);
    }
    return Eai::kOk;
  }

  // name_from_dns_search().
  Eai SearchDns(absl::string_view name, LookupFamily family) {
    const int dots =
        static_cast<int>(std::count(name.begin(), name.end(), '.'));
    const bool search = dots < settings_.ndots && !absl::EndsWith(name, ".");
    absl::string_view base = name;
    if (absl::EndsWith(base, ".")) base.remove_suffix(1);
    if (base.empty() || absl::EndsWith(base, ".")) return Eai::kNoName;
    if (search) {
      for (const std::string& domain : settings_.search) {
        if (domain.size() >= kNameBuffer - base.size() - 1) continue;
        canon_ = absl::StrCat(base, ".", domain);
        const Eai eai = FromDns(canon_, family);
        if (eai != Eai::kNextName) return eai;
      }
    }
    canon_ = std::string(base);
    return FromDns(std::string(name), family);
  }

  // name_from_dns().
  Eai FromDns(std::string name, LookupFamily family) {
    std::vector<OutgoingQuery> queries;
    for (uint16_t type : {kTypeA, kTypeAaaa}) {
      if (family == LookupFamily::kInet && type == kTypeAaaa) continue;
      if (family == LookupFamily::kInet6 && type == kTypeA) continue;
      const MuslQuery made = MuslMakeQuery(name, type, modern());
      if (!made.ok) {
        return modern() ? Eai::kNextName : Eai::kNoName;
      }
      OutgoingQuery q;
      q.type = type;
      q.labels = made.labels;
      q.malformed = made.malformed;
      queries.push_back(std::move(q));
    }
    const std::vector<MuslReply> replies = SendAll(queries);
    return modern() ? JudgeModern(queries, replies)
                    : JudgeOld(queries, replies);
  }

  Eai JudgeModern(const std::vector<OutgoingQuery>& queries,
                  const std::vector<MuslReply>& replies) {
    for (const MuslReply& r : replies) {
      if (const Eai eai = Judge(r); eai != Eai::kOk) return eai;
    }
    for (size_t i = replies.size(); i-- > 0;) {
      Parse(queries[i], replies[i], /*own_type_only=*/true);
    }
    return addresses_.empty() ? Eai::kNoData : Eai::kOk;
  }

  // Before 1.2.4 a name without addresses is EAI_NONAME. Before 1.2.0 one
  // family is enough, and without any the first answer decides.
  Eai JudgeOld(const std::vector<OutgoingQuery>& queries,
               const std::vector<MuslReply>& replies) {
    const bool all_must_answer = version_ != Library::kMusl1_1_24;
    for (const MuslReply& r : replies) {
      const Eai eai = Judge(r);
      if (all_must_answer && eai != Eai::kOk) return eai;
    }
    for (size_t i = 0; i < replies.size(); ++i) {
      if (replies[i].length == 0) continue;
      Parse(queries[i], replies[i], /*own_type_only=*/false);
    }
    if (!addresses_.empty()) return Eai::kOk;
    const Eai eai = Judge(replies[0]);
    return eai == Eai::kOk ? Eai::kNoName : eai;
  }

  // What an answer alone says about the name; kOk if it may have addresses.
  static Eai Judge(const MuslReply& r) {
    if (r.length == 0 || r.answer.rcode == kServFail) return Eai::kAgain;
    if (r.answer.rcode == kNxDomain) return Eai::kNextName;
    return r.answer.rcode == 0 ? Eai::kOk : Eai::kFail;
  }

  // __dns_parse(): owners are not looked at. The scan over the question stops
  // at bytes from 0x80 on.
  void Parse(const OutgoingQuery& query, const MuslReply& reply,
             bool own_type_only) {
    if (reply.answer.rcode != 0 || !query.malformed.empty()) return;
    for (const std::string& label : query.labels) {
      for (char c : label) {
        if (static_cast<unsigned char>(c) >= 0x80) return;
      }
    }
    const int limit = modern() ? 4800 : 512;
    if (!modern() && reply.answer.records.size() > 63) return;
    int size = 12 + WireSize(query.labels) + 4;
    for (const AnswerRecord& r : reply.answer.records) {
      size += RecordSize(r);
      if (size > limit) return;
      if (r.type == kTypeCname) {
        absl::string_view target = r.target;
        if (absl::EndsWith(target, ".")) target.remove_suffix(1);
        if (MuslHostNameOk(target)) canon_ = std::string(target);
        continue;
      }
      if (addresses_.size() >= kMaxAddresses) continue;
      const bool wanted = own_type_only
                              ? r.type == query.type
                              : r.type == kTypeA || r.type == kTypeAaaa;
      if (wanted && (r.type == kTypeA || r.type == kTypeAaaa)) {
        addresses_.push_back(r.address);
      }
    }
  }

  struct Arrival {
    size_t query;
    size_t server;
    Transport transport;
    Answer answer;
  };

  // __res_msend_rc(): every query to every server at once, from one socket,
  // again after each interval, until every query has an answer that counts.
  std::vector<MuslReply> SendAll(const std::vector<OutgoingQuery>& queries) {
    std::vector<MuslReply> replies(queries.size());
    last_packet_ = Answer();
    if (settings_.attempts == 0) {
      death_ = "killed by signal 8";  // a division by zero
      return replies;
    }
    const int64_t timeout = int64_t{1000} * settings_.timeout_seconds;
    const absl::Duration interval =
        absl::Milliseconds(timeout / settings_.attempts);
    const absl::Duration start = world_.now();
    const absl::Duration end = start + absl::Milliseconds(timeout);
    const int socket = world_.NewSocket();
    SendState state{queries, replies, socket, {}, 0, false, {}};
    state.first_seen.resize(queries.size());
    absl::Duration next_round = start;
    while (world_.now() < end && !state.stop) {
      if (state.Complete()) break;
      if (world_.now() >= next_round) {
        SendRound(state);
        next_round = world_.now() + interval;
        state.servfail_retries = static_cast<int>(2 * queries.size());
      }
      if (state.arrivals.empty()) {
        world_.AdvanceTo(next_round + kLate);
        continue;
      }
      Arrival arrival = std::move(state.arrivals.front());
      state.arrivals.pop_front();
      Receive(state, std::move(arrival));
    }
    for (MuslReply& r : replies) r.length = std::max(r.length, 0);
    return replies;
  }

  struct SendState {
    const std::vector<OutgoingQuery>& queries;
    std::vector<MuslReply>& replies;
    int socket;
    std::deque<Arrival> arrivals;
    int servfail_retries;
    bool stop;
    std::vector<std::optional<Answer>> first_seen;

    bool Complete() const {
      return std::all_of(replies.begin(), replies.end(),
                         [](const MuslReply& r) { return r.length > 0; });
    }
  };

  void SendOne(SendState& state, size_t query, size_t server, int socket,
               Transport transport) {
    Answer a = world_.Send(socket, settings_.servers[server], transport,
                           state.queries[query]);
    const bool refused = a.fate == Answer::Fate::kUnreachable;
    if (a.fate == Answer::Fate::kReply ||
        (refused && transport == Transport::kTcp)) {
      state.arrivals.push_back({query, server, transport, std::move(a)});
    }
  }

  void SendRound(SendState& state) {
    for (size_t i = 0; i < state.queries.size(); ++i) {
      if (state.replies[i].length != 0) continue;
      for (size_t j = 0; j < settings_.servers.size(); ++j) {
        SendOne(state, i, j, state.socket, Transport::kUdp);
      }
    }
  }

  void Receive(SendState& state, Arrival arrival) {
    MuslReply& reply = state.replies[arrival.query];
    if (arrival.transport == Transport::kTcp) {
      const int rcode = arrival.answer.rcode;
      if (arrival.answer.fate != Answer::Fate::kReply ||
          (rcode != 0 && rcode != kNxDomain)) {
        state.stop = true;
        return;
      }
      last_packet_ = arrival.answer;
      reply = {1, std::move(arrival.answer)};
      return;
    }
    NoteRace(state, arrival);
    last_packet_ = arrival.answer;
    if (reply.length != 0) return;
    const int rcode = arrival.answer.rcode;
    if (rcode == kServFail) {
      if (state.servfail_retries > 0) {
        --state.servfail_retries;
        SendOne(state, arrival.query, arrival.server, state.socket,
                Transport::kUdp);
      }
      return;
    }
    if (rcode != 0 && rcode != kNxDomain) return;
    const bool truncated = arrival.answer.truncated;
    reply = {1, std::move(arrival.answer)};
    if (truncated && modern()) {
      reply.length = -1;
      SendOne(state, arrival.query, arrival.server, world_.NewSocket(),
              Transport::kTcp);
    }
  }

  // All servers are asked at once and the first answer that counts wins: if
  // they do not agree, another outcome is possible.
  void NoteRace(SendState& state, const Arrival& arrival) {
    std::optional<Answer>& first = state.first_seen[arrival.query];
    if (!first.has_value()) {
      first = arrival.answer;
    } else if (first->rcode != arrival.answer.rcode ||
               first->truncated != arrival.answer.truncated ||
               first->records.size() != arrival.answer.records.size()) {
      raced_ = true;
    }
  }

  LookupResult ResQuery() {
    const LookupCall& call = run_.call;
    const MuslQuery made = MuslMakeQuery(call.name, call.type, modern());
    if (!made.ok) return ResultWithCode("NETDB_SUCCESS");  // -1, no h_errno
    OutgoingQuery q;
    q.type = call.type;
    q.labels = made.labels;
    q.malformed = made.malformed;
    q.flags.ad = version_ != Library::kMusl1_1_24;
    const std::vector<MuslReply> replies = SendAll({q});
    if (!death_.empty()) return ResultWithCode(death_);
    const MuslReply& reply = replies[0];
    // 1.1.24 returns what is in the buffer, be it an answer that was rejected.
    const Answer& seen = reply.length > 0 ? reply.answer : last_packet_;
    if (version_ != Library::kMusl1_1_24) {
      if (reply.length == 0) return ResultWithCode("TRY_AGAIN");
      if (seen.rcode == kNxDomain) return ResultWithCode("HOST_NOT_FOUND");
      if (seen.rcode == 0 && seen.records.empty()) {
        return ResultWithCode("NO_DATA");
      }
    }
    LookupResult out = ResultWithCode("OK");
    out.rcode = seen.rcode;
    out.answer_count = static_cast<int>(seen.records.size());
    return out;
  }

  LibraryRun& run_;
  const ResolverSettings& settings_;
  const Library version_;
  ResolverWorld& world_;
  std::vector<IpAddress> addresses_;
  std::string canon_;
  std::string death_;
  Answer last_packet_;
  bool raced_ = false;
};

}  // namespace

void RunMusl(LibraryRun& run) {
  Musl musl(run);
  for (int i = 0; i < run.call.repeat; ++i) {
    LookupResult result = musl.Call();
    const bool dead = absl::StartsWith(result.rc, "killed");
    run.results.push_back(std::move(result));
    if (dead || run.world.out_of_patience()) break;
  }
  run.order_varies |= musl.raced();
}

}  // namespace k8sdns::dns
