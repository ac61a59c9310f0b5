"""Reads a page as a browser would: what it loads, what it says."""

from html.parser import HTMLParser

VOID = {'br', 'img', 'meta'}
# Attributes whose addresses a browser loads without being asked.
LOADED = {'src', 'srcset', 'data', 'poster', 'action', 'background'}


class PageReader(HTMLParser):
    """Collects tags, texts and what would be loaded; checks the nesting."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.loaded: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        self.loaded += [v for k, v in attrs if k in LOADED]
        if tag not in ('a', 'details'):
            self.loaded += [
                v
                for k, v in attrs
                if k.endswith('href') and not v.startswith('#')
            ]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self._open[-1:] != ['style']:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.texts).split())

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and attributes.items() <= values.items()
            for name, values in self.tags
        )


def require_alone(page: str) -> PageReader:
    """Check that a page loads nothing but what it holds in itself."""
    reader = PageReader(page)
    assert all(uri.startswith('data:image/') for uri in reader.loaded)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {'script', 'link', 'iframe', 'object', 'embed', 'base'}
    for word in ('url(http', '@import', '@font-face', 'javascript:'):
        assert word not in page
    return reader
