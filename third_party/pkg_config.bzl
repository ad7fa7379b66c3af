"""A repository whose libraries are already installed on this system.

`pkg_config_repository` writes one `cc_library` for each entry of `targets`, in the package and under the name that the
upstream project gives it, so that `@com_google_absl//absl/strings` means the same whether Abseil is built from source or
installed. What to link is asked from pkg-config. Headers need no declaration: they lie in the compiler's own include
directories, which also makes them system headers, in which warnings are silent.
"""

def _link_options(ctx, pkg_config, modules):
    """The linker options of `modules`; None if pkg-config does not know one of them."""
    options = []
    for module in modules:
        if module.startswith("-"):
            options.append(module)
            continue
        answer = ctx.execute([pkg_config, "--libs", module])
        if answer.return_code != 0:
            return None
        options.extend([word for word in answer.stdout.split(" ") if word.strip()])
    return [option.strip() for option in options]

def _pkg_config_repository_impl(ctx):
    pkg_config = ctx.which("pkg-config")
    if pkg_config == None:
        fail("@%s: pkg-config is not installed. `./bazelw` installs what tools/debian-packages.txt lists." % ctx.name)

    packages = {}
    known = 0
    for label, modules in ctx.attr.targets.items():
        package, name = label.split(":")
        link_options = _link_options(ctx, pkg_config, modules)
        if link_options == None:
            # An older or newer release without this target: whoever needs it gets Bazel's "no such target".
            continue
        known += 1
        lines = packages.setdefault(package, ['package(default_visibility = ["//visibility:public"])', ""])
        lines.append("cc_library(name = %r, linkopts = %r)" % (name, link_options))
    if ctx.attr.targets and not known:
        fail("@%s: pkg-config knows none of %s. `./bazelw` installs what tools/debian-packages.txt lists." %
             (ctx.name, ", ".join([module for modules in ctx.attr.targets.values() for module in modules])))

    for package, lines in packages.items():
        ctx.file((package + "/" if package else "") + "BUILD.bazel", "\n".join(lines) + "\n", executable = False)
    ctx.file("WORKSPACE", "workspace(name = %r)\n" % ctx.name, executable = False)

pkg_config_repository = repository_rule(
    implementation = _pkg_config_repository_impl,
    attrs = {
        "targets": attr.string_list_dict(
            mandatory = True,
            doc = "`package:name` of a library to pkg-config modules; an entry that starts with `-` is a linker option; " +
                  "no entries at all means headers alone.",
        ),
    },
    local = True,
)
