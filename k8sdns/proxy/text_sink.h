// Writes the rules of iptables_rules.h as text, in iptables-save's spelling,
// without a Ruleset in between: internal to the iptables compiler. What it
// writes is what printing the Ruleset writes, rule by rule (a test compares
// them).
#ifndef K8SDNS_PROXY_TEXT_SINK_H_
#define K8SDNS_PROXY_TEXT_SINK_H_

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/iptables_model.h"

namespace k8sdns::proxy {

// Text that is written to the front of a string whose size is only set at the
// end: a string that is written again costs neither clearing nor page faults.
class TextBuffer {
 public:
  explicit TextBuffer(std::string& out)
      : out_(out), at_(out.data()), limit_(out.data() + out.size()) {}
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  // Makes room for `size` more bytes.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Reserve(size_t size) {
    if (static_cast<size_t>(limit_ - at_) < size) Grow(size);
  }
  // The following need room that was reserved.
  template <size_t N>
  void Literal(const char (&text)[N]) {
    std::memcpy(at_, text, N - 1);
    at_ += N - 1;
  }
  // Mostly a few characters, for which a call would cost more than the copy.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Put(absl::string_view text) {
    const size_t size = text.size();
    if (size >= 16 && size <= 32) {
      CopyEnds<16>(text.data(), size);
    } else if (size > 32) {
      std::memcpy(at_, text.data(), size);
    } else if (size >= 8) {
      CopyEnds<8>(text.data(), size);
    } else if (size >= 4) {
      CopyEnds<4>(text.data(), size);
    } else {
      for (size_t i = 0; i < size; ++i) at_[i] = text[i];
    }
    at_ += size;
  }
  char* Claim(size_t size) {
    char* at = at_;
    at_ += size;
    return at;
  }
  void Put16(const char* text) {
    std::memcpy(at_, text, 16);
    at_ += 16;
  }
  // Copies 32 bytes at a time: reads up to 31 bytes behind `text`, and writes
  // as many behind what counts.
  void PutWide(const char* text, size_t size) {
    at_ = CopyWide(at_, text, size);
  }
  // Copies `size` bytes to `to` in the same way; returns the end.
  static char* CopyWide(char* to, const char* from, size_t size) {
    std::memcpy(to, from, 32);
    for (size_t done = 32; done < size; done += 32) {
      std::memcpy(to + done, from + done, 32);
    }
    return to + size;
  }
  // For who writes many pieces: where to write, and where that ended.
  char* end() { return at_; }
  void set_end(char* end) { at_ = end; }
  const char* data() const { return out_.data(); }
  void Put(char c) { *at_++ = c; }
  void PutNumber(uint32_t value) {
    at_ = std::to_chars(at_, at_ + 10, value).ptr;
  }
  void PutHex(uint32_t value) {
    at_ = std::to_chars(at_, at_ + 8, value, 16).ptr;
  }
  void PutAddress(const IpAddress& address) { at_ = address.WriteTo(at_); }

  size_t size() const { return static_cast<size_t>(at_ - out_.data()); }
  absl::string_view text() const { return {out_.data(), size()}; }
  // Goes back to where size() was `size`.
  void CutTo(size_t size) { at_ = out_.data() + size; }
  // Cuts the string to what was written.
  void Finish() { out_.resize(size()); }

 private:
  // Both ends of N..2N bytes.
  template <size_t N>
  void CopyEnds(const char* text, size_t size) {
    char ends[2][N];
    std::memcpy(ends[0], text, N);
    std::memcpy(ends[1], text + size - N, N);
    std::memcpy(at_, ends[0], N);
    std::memcpy(at_ + size - N, ends[1], N);
  }
  void Grow(size_t size);

  std::string& out_;
  char* at_;
  char* limit_;
};

// The text of the probability of 1/n, by n and digits.
class ProbabilityTexts {
 public:
  explicit ProbabilityTexts(int digits) : digits_(digits) {}
  // "0.33333333349"
  absl::string_view Get(uint32_t n);

 private:
  int digits_;
  std::vector<std::array<char, 32>> texts_;  // 13 characters each
};

class TextSink {
 public:
  static constexpr bool kStencils = true;
  // Room for any rule without its texts of unbounded length.
  static constexpr size_t kRuleRoom = 1024;
  static constexpr size_t kShortText = 128;

  TextSink(TextBuffer& out, bool v6, ProbabilityTexts& probabilities)
      : out_(out), v6_(v6), probabilities_(probabilities) {}

  void Because(RuleSource, uint64_t) {}
  void Chain(const ChainRef& chain) {
    out_.Reserve(kRuleRoom);
    out_.Put(':');
    PutChain(chain);
    out_.Literal(" - [0:0]\n");
  }
  void Begin(const ChainRef& chain) {
    out_.Reserve(kRuleRoom);
    out_.Literal("-A ");
    PutChain(chain);
  }
  void End() { out_.Put('\n'); }

  void Source(const IpPrefix& prefix, bool invert) {
    if (prefix.length() == 0 && !invert) return;
    if (invert) out_.Literal(" !");
    out_.Literal(" -s ");
    PutPrefix(prefix);
  }
  // `text` is the address's.
  void SourceHost(const IpAddress&, absl::string_view text) {
    out_.Literal(" -s ");
    PutHole(Hole::kAddress, text);
    PutHostLength();
  }
  void Destination(const IpPrefix& prefix, bool invert) {
    if (prefix.length() == 0 && !invert) return;
    if (invert) out_.Literal(" !");
    out_.Literal(" -d ");
    PutPrefix(prefix);
  }
  void DestinationHost(const IpAddress& address) {
    out_.Literal(" -d ");
    out_.PutAddress(address);
    PutHostLength();
  }
  void InInterface(absl::string_view name, bool prefix, bool invert) {
    if (invert) out_.Literal(" !");
    out_.Literal(" -i ");
    PutLong(name);
    if (prefix) out_.Put('+');
  }
  void Protocol(k8sdns::Protocol protocol) {
    out_.Literal(" -p ");
    PutProtocol(protocol);
  }
  void Comment(absl::string_view a, absl::string_view b, absl::string_view c) {
    out_.Literal(" -m comment --comment \"");
    out_.Put(a);
    PutName(b);
    out_.Put(c);
    out_.Put('"');
  }
  void CommentTo(absl::string_view name, absl::string_view endpoint) {
    out_.Literal(" -m comment --comment \"");
    PutName(name);
    out_.Literal(" -> ");
    PutHole(Hole::kText, endpoint);
    out_.Put('"');
  }
  void CommentNaming(absl::string_view name, absl::string_view what,
                     const ChainRef& chain) {
    out_.Literal(" -m comment --comment \"");
    PutName(name);
    out_.Put(what);
    PutChain(chain);
    out_.Put('"');
  }
  void CommentNumbered(absl::string_view a, uint32_t number,
                       absl::string_view b, absl::string_view name) {
    out_.Literal(" -m comment --comment \"");
    out_.Put(a);
    out_.PutNumber(number);
    out_.Put(b);
    PutName(name);
    out_.Put('"');
  }
  void ProtocolMatch(k8sdns::Protocol protocol) {
    out_.Literal(" -m ");
    PutProtocol(protocol);
  }
  void DestinationPort(k8sdns::Protocol protocol, uint16_t port) {
    ProtocolMatch(protocol);
    out_.Literal(" --dport ");
    out_.PutNumber(port);
  }
  void DestinationLocal(bool invert) {
    out_.Literal(" -m addrtype");
    if (invert) out_.Literal(" !");
    out_.Literal(" --dst-type LOCAL");
  }
  void SourceLocal(bool invert) {
    out_.Literal(" -m addrtype");
    if (invert) out_.Literal(" !");
    out_.Literal(" --src-type LOCAL");
  }
  void NotBridgedIn() { out_.Literal(" -m physdev ! --physdev-is-in"); }
  void ConntrackState(uint32_t states, bool invert);
  void Mark(uint32_t value, bool invert) {
    out_.Literal(" -m mark");
    if (invert) out_.Literal(" !");
    out_.Literal(" --mark ");
    PutMask(value, value);
  }
  void RecentCheck(const ChainRef& list, int32_t seconds) {
    out_.Literal(" -m recent --rcheck --seconds ");
    out_.PutNumber(static_cast<uint32_t>(seconds));
    out_.Literal(" --reap --name ");
    PutChain(list);
    PutRecentMask();
  }
  void RecentSet(const ChainRef& list) {
    out_.Literal(" -m recent --set --name ");
    PutChain(list);
    PutRecentMask();
  }
  void OneOf(uint32_t n) {
    out_.Literal(" -m statistic --mode random --probability ");
    PutHole(Hole::kProbability, probabilities_.Get(n));
  }
  void Nfacct(absl::string_view name) {
    out_.Literal(" -m nfacct --nfacct-name  ");
    out_.Put(name);
  }

  void Jump(const ChainRef& chain) {
    out_.Literal(" -j ");
    PutChain(chain);
  }
  void Return() { out_.Literal(" -j RETURN"); }
  void Accept() { out_.Literal(" -j ACCEPT"); }
  void Drop() { out_.Literal(" -j DROP"); }
  void Reject() {
    if (v6_) {
      out_.Literal(" -j REJECT --reject-with icmp6-port-unreachable");
    } else {
      out_.Literal(" -j REJECT --reject-with icmp-port-unreachable");
    }
  }
  void Masquerade(bool random_fully) {
    out_.Literal(" -j MASQUERADE");
    if (random_fully) out_.Literal(" --random-fully");
  }
  void SetMark(uint32_t value, uint32_t mask) {
    out_.Literal(" -j MARK --set-xmark ");
    PutMask(value, mask);
  }
  void Dnat(const IpAddress&, uint16_t, absl::string_view text) {
    out_.Literal(" -j DNAT --to-destination ");
    PutHole(Hole::kText, text);
  }

  // The rules written between these two are repeated by Stamp() for other
  // endpoints of the same port. `chain` is the endpoint's.
  void BeginStencil(const ChainRef& chain) {
    out_.Reserve(kRuleRoom);
    stencil_chain_ = chain.hash;
    stencil_begin_ = out_.size();
    hole_count_ = 0;
  }
  void EndStencil() {
    stencil_chain_ = nullptr;
    stencil_size_ = out_.size() - stencil_begin_;
  }
  void Stamp(const EndpointList& list, const EndpointInfo& e, uint32_t n) {
    out_.Reserve(stencil_size_ + kRuleRoom);
    const char* const text = list.texts.data() + e.text_begin;
    const char* const piece[] = {
        e.chain.characters.data(), text, text + (v6_ ? 1 : 0),
        n > 0 ? probabilities_.Get(n).data() : nullptr};
    const size_t piece_size[] = {16, e.text_size, e.address_size, 13};
    const char* from = out_.data() + stencil_begin_;
    const char* const from_end = from + stencil_size_;
    // Locals: what is written might be anything but them.
    char* at = out_.end();
    const int holes = hole_count_;
    for (int i = 0; i < holes; ++i) {
      const Hole hole = holes_[i];
      at = TextBuffer::CopyWide(at, from, hole.before);
      from += hole.before + hole.size;
      at = TextBuffer::CopyWide(at, piece[hole.kind], piece_size[hole.kind]);
    }
    at = TextBuffer::CopyWide(at, from, static_cast<size_t>(from_end - from));
    out_.set_end(at);
  }
  // ":KUBE-SEP-... - [0:0]" of the endpoints in use.
  void EndpointChains(const EndpointList& list) {
    static constexpr char kStart[] = ":KUBE-SEP-";
    static constexpr char kEnd[] = " - [0:0]\n";
    static constexpr size_t kLine = sizeof kStart + sizeof kEnd - 2 + 16;
    out_.Reserve(list.size() * kLine + kRuleRoom);
    char* at = out_.end();
    for (const EndpointInfo& e : list.endpoints) {
      if (e.use == 0) continue;
      std::memcpy(at, kStart, sizeof kStart - 1);
      std::memcpy(at + sizeof kStart - 1, e.chain.characters.data(), 16);
      std::memcpy(at + sizeof kStart + 15, kEnd, sizeof kEnd - 1);
      at += kLine;
    }
    out_.set_end(at);
  }

 private:
  // A place of a stencil that is the endpoint's own.
  struct Hole {
    enum Kind : uint8_t { kChain, kText, kAddress, kProbability };
    Kind kind;
    uint8_t size;
    uint32_t before;  // bytes between the hole before and this one
  };
  static constexpr int kMaxHoles = 12;

  void PutHole(Hole::Kind kind, absl::string_view text) {
    if (stencil_chain_ != nullptr) NoteHole(kind, text.size());
    out_.Put(text);
  }
  void NoteHole(Hole::Kind kind, size_t size) {
    const size_t at = out_.size();
    const size_t begin = hole_count_ == 0 ? stencil_begin_ : hole_end_;
    holes_[hole_count_++] = {kind, static_cast<uint8_t>(size),
                             static_cast<uint32_t>(at - begin)};
    hole_end_ = at + size;
  }
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PutChain(const ChainRef& chain) {
    // Most names have a prefix of nine characters.
    if (chain.prefix.size() == 9) {
      std::memcpy(out_.Claim(9), chain.prefix.data(), 9);
    } else {
      out_.Put(chain.prefix);
    }
    if (chain.hash == nullptr) return;
    if (chain.hash == stencil_chain_) NoteHole(Hole::kChain, 16);
    out_.Put16(chain.hash->characters.data());
  }
  void PutPrefix(const IpPrefix& prefix) {
    out_.PutAddress(prefix.address());
    out_.Put('/');
    out_.PutNumber(static_cast<uint32_t>(prefix.length()));
  }
  void PutHostLength() {
    if (v6_) {
      out_.Literal("/128");
    } else {
      out_.Literal("/32");
    }
  }
  void PutProtocol(k8sdns::Protocol protocol) {
    if (protocol == k8sdns::Protocol::kTcp) {
      out_.Literal("tcp");
    } else {
      out_.Put(LowerCaseName(protocol));
    }
  }
  void PutMask(uint32_t value, uint32_t mask) {
    out_.Literal("0x");
    out_.PutHex(value);
    out_.Literal("/0x");
    out_.PutHex(mask);
  }
  void PutRecentMask() {
    if (v6_) {
      out_.Literal(" --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource");
    } else {
      out_.Literal(" --mask 255.255.255.255 --rsource");
    }
  }
  void PutLong(absl::string_view text) {
    if (text.size() > kShortText) out_.Reserve(kRuleRoom + text.size());
    out_.Put(text);
  }
  // A text from the input, between quotes: mostly the name of the port that the
  // rules before were of, so that it is escaped once. Names must not change
  // while the sink is there.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PutName(absl::string_view text) {
    if (text.empty()) return;
    if (text.data() != name_.data() || text.size() != name_.size()) {
      Remember(text);
    }
    if (name_size_ > kShortText) out_.Reserve(kRuleRoom + name_size_);
    out_.PutWide(escaped_name_.data(), name_size_);
  }
  void Remember(absl::string_view text);

  TextBuffer& out_;
  bool v6_;
  ProbabilityTexts& probabilities_;

  absl::string_view name_;    // as it was given
  std::string escaped_name_;  // padded for PutWide()
  size_t name_size_ = 0;

  const ChainHash* stencil_chain_ = nullptr;  // set while one is written
  size_t stencil_begin_ = 0;
  size_t stencil_size_ = 0;
  size_t hole_end_ = 0;
  int hole_count_ = 0;
  std::array<Hole, kMaxHoles> holes_;
};

}  // namespace k8sdns::proxy

#endif  // K8SDNS_PROXY_TEXT_SINK_H_
