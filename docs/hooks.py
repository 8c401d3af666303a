"""What the pages need beyond Markdown: files of the root, and a reference of all public names."""

import ast
import pathlib
import re

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
FROM_ROOT = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def _public_names():
    """Returns the docstring and `__all__` of each package of `models`, without importing it."""
    packages = {}
    for path in sorted(ROOT.glob("models/*/__init__.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                packages[path.parent.name] = ast.get_docstring(tree), ast.literal_eval(node.value)
    return packages


def on_config(config):
    """Adds the reference to the navigation."""
    pages = [{f"models.{package}": f"reference/{package}.md"} for package in _public_names()]
    pages.append({"Pipeline": "reference/pipeline.md"})
    config.nav.insert(-1, {"API reference": pages})


def on_files(files, config):
    """Adds the pages that are not files of this folder."""
    for page, source in FROM_ROOT.items():
        text = LINK.sub(lambda link: _from_docs(link[1]), (ROOT / source).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    for package, (summary, names) in _public_names().items():
        module = f"methodical.models.{package}"
        parts = [f"# {module}", summary, *(f"::: {module}.{name}" for name in names)]
        files.append(File.generated(config, f"reference/{package}.md", content="\n\n".join(parts)))


def _from_docs(target):
    """Returns the end of a link of a file in the root, as a page of this folder would write it."""
    pages = {source: page for page, source in FROM_ROOT.items()}
    if target.startswith("docs/"):
        return f"]({target.removeprefix('docs/')}"
    return f"]({pages.get(target) or '../' + target}"


def on_page_markdown(markdown, page, config, **kwargs):
    """Turns links into the source tree into links into the repository."""

    def in_repository(link):
        path = (ROOT / "docs" / page.file.src_uri).parent / link[1]
        path = path.resolve()
        if path.is_relative_to(ROOT / "docs") or not path.exists():
            return link[0]  # a page, or a mistake that the strict build reports
        return f"]({config.repo_url}/tree/main/{path.relative_to(ROOT).as_posix()}"

    return LINK.sub(in_repository, markdown)


@event_priority(-100)
def on_post_build(config):
    """Fails unless every public name stands on its page."""
    missing = []
    for package, (_, names) in _public_names().items():
        page = pathlib.Path(config.site_dir, "reference", f"{package}.html").read_text("utf-8")
        full_names = [f"methodical.models.{package}.{name}" for name in names]
        missing += [name for name in full_names if f'id="{name}"' not in page]
    if missing:
        raise PluginError(f"The reference lacks public names: {', '.join(missing)}")
