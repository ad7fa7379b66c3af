"""A repository written out in the WORKSPACE: its files are the values of `files`."""

def _stub_repository_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = %r)\n" % ctx.name, executable = False)
    for path, content in ctx.attr.files.items():
        ctx.file(path, content, executable = False)

stub_repository = repository_rule(
    implementation = _stub_repository_impl,
    attrs = {
        "files": attr.string_dict(mandatory = True, doc = "Path to content."),
    },
)
