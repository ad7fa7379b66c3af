#include "k8sdns/dns/message_size.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "k8sdns/dns/domain_name.h"

namespace k8sdns::dns {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr size_t kRecordHeaderSize = 10;  // type, class, TTL, length
constexpr size_t kOptSize = 11;           // the root name and a record header
constexpr size_t kMinUdpSize = 512;
constexpr size_t kMaxTcpSize = 65535;
// A pointer has 14 bits.
constexpr size_t kMaxPointer = 1 << 14;

// Counts bytes from the start of a message on, and remembers which names can
// be pointed to.
class Sizer {
 public:
  explicit Sizer(Compression compression) : compression_(compression) {}

  size_t size() const { return size_; }
  void AddBytes(size_t n) { size_ += n; }

  void AddName(absl::string_view name, bool compressible) {
    if (name.empty() || name == ".") {
      ++size_;
      return;
    }
    if (compression_ == Compression::kOn &&
        (compressible || size_ < kMaxPointer)) {
      const size_t known = FindOrInsertSuffixes(name);
      if (known < name.size() && compressible) {
        size_ += WireSize(name.substr(0, known)) - 1 + 2;  // a pointer
        return;
      }
    }
    size_ += WireSize(name);
  }

  void AddQuestion(const DnsQuestion& question) {
    AddName(question.name, true);
    AddBytes(4);
  }

  void AddRecord(const ResourceRecord& record) {
    AddName(record.owner, true);
    AddBytes(kRecordHeaderSize);
    if (const auto* ip = std::get_if<IpAddress>(&record.data)) {
      AddBytes(ip->bits() / 8);
    } else if (const auto* name = std::get_if<NameData>(&record.data)) {
      AddName(name->name, true);
    } else if (const auto* srv = std::get_if<SrvData>(&record.data)) {
      AddBytes(6);
      AddName(srv->target, false);
    } else if (const auto* soa = std::get_if<SoaData>(&record.data)) {
      AddName(soa->mname, true);
      AddName(soa->rname, true);
      AddBytes(20);
    } else if (const auto* txt = std::get_if<TxtData>(&record.data)) {
      for (const std::string& s : txt->strings) AddBytes(s.size() + 1);
    }
  }

 private:
  // The offset in `name` of the longest suffix that is known already;
  // name.size() if none is. Suffixes left of it become known.
  size_t FindOrInsertSuffixes(absl::string_view name) {
    size_t offset = 0;
    for (absl::string_view label : SplitLabels(name)) {
      offset = static_cast<size_t>(label.data() - name.data());
      const absl::string_view suffix = name.substr(offset);
      if (suffixes_.contains(suffix)) return offset;
      if (size_ + offset < kMaxPointer) suffixes_.insert(suffix);
    }
    return name.size();
  }

  Compression compression_;
  size_t size_ = 0;
  absl::flat_hash_set<absl::string_view> suffixes_;
};

// At least the size of the message: names take at most a byte more than their
// text. Cheap, and enough to see that most replies fit.
size_t UpperBound(const DnsQuestion& question, const DnsResponse& response) {
  size_t size = kHeaderSize + question.name.size() + 1 + 4 + kOptSize;
  for (const auto* section :
       {&response.answer, &response.authority, &response.additional}) {
    for (const ResourceRecord& record : *section) {
      size += record.owner.size() + 1 + kRecordHeaderSize;
      if (std::holds_alternative<IpAddress>(record.data)) {
        size += 16;
      } else if (const auto* name = std::get_if<NameData>(&record.data)) {
        size += name->name.size() + 1;
      } else if (const auto* srv = std::get_if<SrvData>(&record.data)) {
        size += 6 + srv->target.size() + 1;
      } else if (const auto* soa = std::get_if<SoaData>(&record.data)) {
        size += soa->mname.size() + soa->rname.size() + 2 + 20;
      } else if (const auto* txt = std::get_if<TxtData>(&record.data)) {
        for (const std::string& s : txt->strings) size += s.size() + 1;
      }
    }
  }
  return size;
}

// How many of `records` fit. What does not fit uses up all room.
size_t CountFitting(const std::vector<ResourceRecord>& records, size_t limit,
                    bool& full, Sizer& sizer) {
  if (full) return 0;
  for (size_t i = 0; i < records.size(); ++i) {
    sizer.AddRecord(records[i]);
    if (sizer.size() >= limit) {
      full = true;
      return sizer.size() > limit ? i : i + 1;
    }
  }
  return records.size();
}

}  // namespace

size_t MessageSize(const DnsQuestion& question, const DnsResponse& response,
                   Compression compression) {
  Sizer sizer(compression);
  sizer.AddBytes(kHeaderSize);
  sizer.AddQuestion(question);
  for (const auto* section :
       {&response.answer, &response.authority, &response.additional}) {
    for (const ResourceRecord& record : *section) sizer.AddRecord(record);
  }
  if (response.edns_udp_size) sizer.AddBytes(kOptSize);
  return sizer.size();
}

void FitAsCoreDns(const DnsQuestion& question, DnsResponse& response) {
  response.edns_udp_size = question.edns_udp_size;
  size_t limit =
      question.transport == DnsTransport::kTcp
          ? kMaxTcpSize
          : std::max<size_t>(question.edns_udp_size.value_or(0), kMinUdpSize);
  if (UpperBound(question, response) <= limit) return;
  if (MessageSize(question, response, Compression::kOff) <= limit) return;
  if (response.edns_udp_size) limit -= kOptSize;
  Sizer sizer(Compression::kOn);
  sizer.AddBytes(kHeaderSize);
  sizer.AddQuestion(question);
  bool full = sizer.size() >= limit;
  const size_t answers = CountFitting(response.answer, limit, full, sizer);
  const size_t authority = CountFitting(response.authority, limit, full, sizer);
  const size_t additional =
      CountFitting(response.additional, limit, full, sizer);
  response.truncated |= answers < response.answer.size() ||
                        authority < response.authority.size() ||
                        additional < response.additional.size();
  response.answer.resize(answers);
  response.authority.resize(authority);
  response.additional.resize(additional);
}

void FitAsSkyDns(const DnsQuestion& question, Compression compression,
                 DnsResponse& response) {
  const bool tcp = question.transport == DnsTransport::kTcp;
  const size_t limit =
      tcp ? kMaxTcpSize
          : std::max<size_t>(question.edns_udp_size.value_or(kMinUdpSize),
                             kMinUdpSize);
  if (UpperBound(question, response) < limit) return;
  if (MessageSize(question, response, compression) > limit) {
    response.additional.clear();
  }
  if (MessageSize(question, response, compression) < limit) return;
  if (tcp) {
    // Does not fit even TCP: the server gives up.
    response = DnsResponse();
    response.rcode = Rcode::kServFail;
    return;
  }
  response.truncated = true;
  const std::vector<ResourceRecord> all = std::move(response.answer);
  size_t low = 0;
  size_t high = all.size();
  while (low != high) {
    const size_t middle = (low + high) / 2;
    response.answer.assign(all.begin(), all.begin() + middle);
    if (MessageSize(question, response, compression) < limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (high > 1) --high;
  response.answer.assign(all.begin(), all.begin() + high);
}

}  // namespace k8sdns::dns
