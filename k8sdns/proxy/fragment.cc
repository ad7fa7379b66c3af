#include "k8sdns/proxy/fragment.h"

#include "absl/strings/match.h"

namespace k8sdns::proxy {

bool FragmentSink::Find(const ChainRef& chain) {
  const size_t n = out_.chains.size();
  for (size_t i = 0; i < n; ++i) {
    const size_t at = current_ + i < n ? current_ + i : current_ + i - n;
    const Fragment::ChainText& c = out_.chains[at];
    const absl::string_view name = out_.name(c);
    if (c.table != chain.table || !absl::StartsWith(name, chain.prefix) ||
        name.substr(chain.prefix.size()) !=
            (chain.hash != nullptr ? chain.hash->text() : "")) {
      continue;
    }
    current_ = at;
    return true;
  }
  return false;
}

void FragmentSink::Add(const ChainRef& chain) {
  Fragment::ChainText& c = out_.chains.emplace_back();
  c.table = chain.table;
  c.dispatch = kOwnChain;
  if (chain.hash == nullptr) {
    for (uint8_t i = 0; i < kDispatchChains; ++i) {
      if (chain == kDispatchRefs[i]) c.dispatch = i;
    }
  }
  c.name_begin = static_cast<uint32_t>(out_.names.size());
  out_.names.append(chain.prefix.data(), chain.prefix.size());
  if (chain.hash != nullptr) {
    out_.names.append(chain.hash->characters.data(), 16);
  }
  c.name_size = static_cast<uint32_t>(out_.names.size()) - c.name_begin;
  current_ = out_.chains.size() - 1;
}

}  // namespace k8sdns::proxy
