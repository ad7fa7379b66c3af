#include "k8sdns/cli/manual.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "k8sdns/version.h"

namespace k8sdns::cli {
namespace {

// ---- what the table tells ----

// "fmt" of "fmt FILE": the words that come before what the user chooses, which
// is in capitals.
std::vector<std::string> Subcommands(const Command& command) {
  const std::vector<std::string> words =
      absl::StrSplit(command.arguments, ' ', absl::SkipEmpty());
  if (words.empty()) return {};
  std::vector<std::string> out;
  for (absl::string_view word : absl::StrSplit(words[0], '|')) {
    for (char c : word) {
      if (!absl::ascii_islower(static_cast<unsigned char>(c))) return {};
    }
    out.emplace_back(word);
  }
  return out;
}

// {"4", "6"} of "4|6"; empty if any text is a value.
std::vector<std::string> Choices(const Flag& flag) {
  if (!absl::StrContains(flag.value, '|')) return {};
  return absl::StrSplit(flag.value, '|');
}

bool IsFile(const Flag& flag) { return absl::StrContains(flag.value, "FILE"); }

// ---- man(7) ----

std::string Roff(absl::string_view text) {
  std::string out = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}});
  if (absl::StartsWith(out, ".") || absl::StartsWith(out, "'")) {
    out.insert(0, "\\&");
  }
  return out;
}

// "\fB\-f\fR, \fB\-\-file\fR \fIFILE\fR"
std::string RoffFlag(const Flag& flag) {
  std::string out;
  if (flag.letter != 0) {
    absl::StrAppend(&out, "\\fB\\-", std::string(1, flag.letter), "\\fR, ");
  }
  absl::StrAppend(&out, "\\fB\\-\\-", Roff(flag.name), "\\fR");
  if (!flag.value.empty()) {
    absl::StrAppend(&out, " \\fI", Roff(flag.value), "\\fR");
  }
  return out;
}

void AppendCommand(const Command& command, std::string& out) {
  absl::StrAppend(&out, ".SS ", Roff(command.name), "\n.B k8sdns ",
                  Roff(command.name), "\n[\\fIFLAG\\fR...]");
  if (!command.arguments.empty()) {
    absl::StrAppend(&out, " \\fI", Roff(command.arguments), "\\fR");
  }
  std::string summary(command.summary);
  summary[0] = absl::ascii_toupper(static_cast<unsigned char>(summary[0]));
  absl::StrAppend(&out, "\n.PP\n", Roff(summary), ".\n");
  for (const Flag& flag : command.flags) {
    absl::StrAppend(&out, ".TP\n", RoffFlag(flag), "\n", Roff(flag.help));
    if (!flag.otherwise.empty()) {
      absl::StrAppend(&out, " (", Roff(flag.otherwise), ")");
    }
    absl::StrAppend(&out, flag.repeated ? "; may be repeated\n" : "\n");
  }
  absl::StrAppend(&out, ".PP\nExample:\n.PP\n.RS 4\n.nf\n",
                  Roff(command.example), "\n.fi\n.RE\n");
}

// ---- shells ----

// In single quotes.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string FlagWords(const Command& command) {
  std::vector<std::string> words;
  for (const Flag& flag : command.flags) {
    words.push_back(absl::StrCat("--", flag.name));
    if (flag.letter != 0) {
      words.push_back(absl::StrCat("-", std::string(1, flag.letter)));
    }
  }
  words.push_back("--help");
  return absl::StrJoin(words, " ");
}

// The patterns of `case` that a flag is written as: "--file|-f".
std::string FlagPattern(const Flag& flag) {
  std::string out = absl::StrCat("--", flag.name);
  if (flag.letter != 0) {
    absl::StrAppend(&out, "|-", std::string(1, flag.letter));
  }
  return out;
}

void AppendBashCommand(const Command& command, std::string& out) {
  absl::StrAppend(&out, "    ", command.name, ")\n      case $previous in\n");
  for (const Flag& flag : command.flags) {
    if (flag.value.empty()) continue;
    absl::StrAppend(&out, "        ", FlagPattern(flag), ") ");
    if (IsFile(flag)) {
      absl::StrAppend(&out, "_k8sdns_files; return ;;\n");
      continue;
    }
    absl::StrAppend(&out, "COMPREPLY=($(compgen -W ",
                    Quoted(absl::StrJoin(Choices(flag), " ")),
                    " -- \"$word\")); return ;;\n");
  }
  absl::StrAppend(&out, "      esac\n      flags=", Quoted(FlagWords(command)),
                  "\n      words=",
                  Quoted(absl::StrJoin(Subcommands(command), " ")), " ;;\n");
}

// A text inside of _arguments' '[...]' and ':...:'.
std::string ZshText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"},
                                    {"[", "\\["},
                                    {"]", "\\]"},
                                    {":", "\\:"},
                                    {"'", "'\\''"}});
}

void AppendZshCommand(const Command& command, std::string& out) {
  absl::StrAppend(&out, "    ", command.name, ")\n      _arguments -s");
  for (const Flag& flag : command.flags) {
    std::string value;
    if (!flag.value.empty()) {
      const std::vector<std::string> choices = Choices(flag);
      value = absl::StrCat(
          ":", ZshText(flag.value), ":",
          IsFile(flag) ? "_files"
          : choices.empty()
              ? " "
              : absl::StrCat("(", absl::StrJoin(choices, " "), ")"));
    }
    const absl::string_view star = flag.repeated ? "*" : "";
    const std::string help = absl::StrCat("[", ZshText(flag.help), "]");
    absl::StrAppend(&out, " \\\n        '", star, "--", flag.name,
                    value.empty() ? "" : "=", help, value, "'");
    if (flag.letter != 0) {
      absl::StrAppend(&out, " \\\n        '", star, "-",
                      std::string(1, flag.letter), value.empty() ? "" : "+",
                      help, value, "'");
    }
  }
  const std::vector<std::string> subcommands = Subcommands(command);
  if (!subcommands.empty()) {
    absl::StrAppend(&out, " \\\n        '1:command:(",
                    absl::StrJoin(subcommands, " "), ")'");
  }
  absl::StrAppend(&out,
                  " \\\n        '--help[tells more]' '*:file:_files' ;;\n");
}

std::string Names(std::span<const Command> commands) {
  std::vector<absl::string_view> names;
  for (const Command& c : commands) names.push_back(c.name);
  return absl::StrJoin(names, " ");
}

}  // namespace

std::string ManPage(std::span<const Command> commands) {
  std::string out = absl::StrCat(
      ".\\\" Written by k8sdns help --man.\n"
      ".TH K8SDNS 1 \"\" \"k8sdns ",
      K8SDNS_VERSION,
      "\" \"User Commands\"\n"
      ".SH NAME\n"
      "k8sdns \\- what a Kubernetes node does with a name and with a packet\n"
      ".SH SYNOPSIS\n"
      ".B k8sdns\n"
      "\\fICOMMAND\\fR [\\fIFLAG\\fR...] [\\fIARGUMENT\\fR...]\n"
      ".SH DESCRIPTION\n"
      "Reads the objects that kubectl prints, makes the tables that "
      "kube\\-proxy would program, and follows names and packets through "
      "them as the node would. Needs no root and no cluster.\n"
      ".PP\n"
      "Flags and arguments mix; \\fB\\-\\-\\fR ends the flags. A flag takes "
      "its value as \\fB\\-\\-flag\\fR \\fIVALUE\\fR, "
      "\\fB\\-\\-flag=\\fR\\fIVALUE\\fR, or \\fB\\-f\\fR \\fIVALUE\\fR where "
      "it has a letter. \\fIFILE\\fR may be a file, a folder of manifests, or "
      "\\fB\\-\\fR for standard input.\n"
      ".SH COMMANDS\n");
  for (const Command& command : commands) AppendCommand(command, out);
  absl::StrAppend(&out,
                  ".SH EXIT STATUS\n"
                  ".TP\n0\nDone.\n"
                  ".TP\n1\nSomething was found: a finding, a difference.\n"
                  ".TP\n2\nBad usage or bad input; standard error says what.\n"
                  ".SH SEE ALSO\n"
                  ".BR iptables\\-save (8),\n"
                  ".BR ipset (8),\n"
                  ".BR ipvsadm (8),\n"
                  ".BR resolv.conf (5)\n");
  return out;
}

std::string BashCompletion(std::span<const Command> commands) {
  std::string out = absl::StrCat(
      R"(# bash completion for k8sdns, written by k8sdns help --bash.
_k8sdns_files() {
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$word"))
}

_k8sdns() {
  local word=${COMP_WORDS[COMP_CWORD]} previous= flags= words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ')",
      Names(commands), R"( --help --version' -- "$word"))
    return
  fi
  ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
  case ${COMP_WORDS[1]} in
)");
  for (const Command& command : commands) AppendBashCommand(command, out);
  absl::StrAppend(&out, R"(    *) return ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [[ -n $words ]] && ((COMP_CWORD == 2)); then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  else
    _k8sdns_files
  fi
}

complete -F _k8sdns k8sdns
)");
  return out;
}

std::string ZshCompletion(std::span<const Command> commands) {
  std::string out =
      "#compdef k8sdns\n"
      "# zsh completion for k8sdns, written by k8sdns help --zsh.\n"
      "_k8sdns() {\n"
      "  if ((CURRENT == 2)); then\n"
      "    local -a commands=(\n";
  for (const Command& c : commands) {
    absl::StrAppend(&out, "      '", c.name, ":", ZshText(c.summary), "'\n");
  }
  absl::StrAppend(&out,
                  "    )\n"
                  "    _describe command commands\n"
                  "    return\n"
                  "  fi\n"
                  "  local command=$words[2]\n"
                  "  shift words\n"
                  "  ((CURRENT--))\n"
                  "  case $command in\n");
  for (const Command& command : commands) AppendZshCommand(command, out);
  absl::StrAppend(&out, "  esac\n}\n_k8sdns \"$@\"\n");
  return out;
}

}  // namespace k8sdns::cli
