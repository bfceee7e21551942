# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled twin of ``serving.head_recogniser``, which has the contract. It returns the same for the same bytes."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy

cdef enum:
    # Bytes of a head; a longer one is doubtful.
    MOST = 8192
    # Bytes of its lines as they are forwarded: each, of five bytes at least, may gain a space.
    MOST_LINES = 10240
    # Places of the table of names, a power of two and more than twice the names.
    PLACES = 256
    # Values that one head can have to show.
    VALUES = 8

cdef enum Action:
    DROPPED
    SHOWN
    DOUBTFUL
    LENGTH
    CONNECTION

cdef unsigned char[256] LOWER   # of a byte of a name, in lower case; 0 if no name that is recognised has it
cdef bint[256] VISIBLE

cdef int _byte
for _byte in range(256):
    LOWER[_byte] = 0
    VISIBLE[_byte] = 0x21 <= _byte <= 0x7e
for _byte in b"abcdefghijklmnopqrstuvwxyz0123456789-":
    LOWER[_byte] = _byte
for _byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
    LOWER[_byte] = _byte + 32

METHODS = (b"GET", b"POST", b"DELETE", b"PUT", b"PATCH", b"HEAD")


cdef struct Name:
    const unsigned char *text
    Py_ssize_t size
    unsigned int hash
    Action action
    # Among the values that are shown; whether the line is forwarded all the same.
    int place
    bint forwarded


cdef struct Block:
    # Header lines as read: where they end, their forwarded form, the values shown, and the length, -1 without one.
    Py_ssize_t end
    unsigned char lines[MOST_LINES]
    Py_ssize_t size
    const unsigned char *value[VALUES]
    Py_ssize_t value_size[VALUES]
    long length


cdef class _Table:
    """The names of a recogniser's rules, by open addressing."""

    cdef Name[PLACES] _names
    cdef int _shown
    cdef list _held

    def __init__(self, shown, forwarded, dropped, doubtful):
        cdef int i
        for i in range(PLACES):
            self._names[i].text = NULL
        self._held = []
        self._shown = len(shown)
        if self._shown > VALUES:
            raise ValueError(f"more than {VALUES} names are to be shown")
        for i, name in enumerate(shown):
            self._add(name, SHOWN, i, name in forwarded)
        for name in dropped:
            self._add(name, DROPPED, 0, False)
        for name in doubtful:
            self._add(name, DOUBTFUL, 0, False)
        self._add(b"content-length", LENGTH, 0, False)
        self._add(b"connection", CONNECTION, 0, False)

    cdef _add(self, bytes name, Action action, int place, bint forwarded):
        cdef Py_ssize_t i
        cdef unsigned int hash = 0
        cdef const unsigned char *text = <const unsigned char *>PyBytes_AS_STRING(name)
        self._held.append(name)
        if 2 * len(self._held) > PLACES:
            raise ValueError("too many names")
        for i in range(PyBytes_GET_SIZE(name)):
            hash = hash * 31 + text[i]
        cdef unsigned int at = hash & (PLACES - 1)
        while self._names[at].text != NULL:
            at = (at + 1) & (PLACES - 1)
        self._names[at] = Name(text, PyBytes_GET_SIZE(name), hash, action, place, forwarded)

    cdef inline Name *_find(self, const unsigned char *text, Py_ssize_t size, unsigned int hash) noexcept nogil:
        cdef unsigned int at = hash & (PLACES - 1)
        cdef Name *name
        while True:
            name = &self._names[at]
            if name.text == NULL:
                return NULL
            if name.hash == hash and name.size == size and memcmp(name.text, text, size) == 0:
                return name
            at = (at + 1) & (PLACES - 1)

    cdef bint _read(self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end, Block *block) noexcept nogil:
        """Read header lines from ``at`` to the empty line; return whether all are recognised."""
        cdef Py_ssize_t begin, last, size, value_size
        cdef unsigned int hash
        cdef unsigned char byte
        cdef unsigned char *line
        cdef const unsigned char *value
        cdef Name *name
        cdef int i
        block.size = 0
        block.length = -1
        for i in range(self._shown):
            block.value[i] = NULL
        while True:
            if at + 2 > end:
                return False
            if data[at] == c'\r':
                block.end = at + 2
                return data[at + 1] == c'\n'
            # The name, in lower case where the line may go.
            line = block.lines + block.size
            begin = at
            hash = 0
            while at < end:
                byte = LOWER[data[at]]
                if not byte:
                    break
                line[at - begin] = byte
                hash = hash * 31 + byte
                at += 1
            size = at - begin
            if not size or at >= end or data[at] != c':':
                return False
            at += 1
            if at < end and data[at] == c' ':
                at += 1
            # The value: from a visible byte to a visible byte, with spaces and tabs only between them.
            begin = at
            last = -1
            while at < end:
                byte = data[at]
                if VISIBLE[byte]:
                    last = at
                elif byte != c' ' and byte != c'\t':
                    break
                elif last < 0:
                    return False
                at += 1
            if last < 0 or last + 1 != at or at + 2 > end or data[at] != c'\r' or data[at + 1] != c'\n':
                return False
            value = data + begin
            value_size = at - begin
            at += 2
            name = self._find(line, size, hash)
            if name != NULL:
                if name.action == DROPPED:
                    continue
                if name.action == DOUBTFUL:
                    return False
                if name.action == LENGTH:
                    if block.length >= 0 or value_size > 9:
                        return False
                    block.length = 0
                    for i in range(<int>value_size):
                        if not c'0' <= value[i] <= c'9':
                            return False
                        block.length = block.length * 10 + (value[i] - c'0')
                    continue
                if name.action == CONNECTION:
                    if value_size != 10 or memcmp(value, b"keep-alive", 10) != 0:
                        return False
                    continue
                if block.value[name.place] != NULL:
                    return False
                block.value[name.place] = value
                block.value_size[name.place] = value_size
                if not name.forwarded:
                    continue
            line += size
            line[0] = c':'
            line[1] = c' '
            memcpy(line + 2, value, value_size)
            line += 2 + value_size
            line[0] = c'\r'
            line[1] = c'\n'
            block.size += size + value_size + 4

    cdef tuple _values(self, Block *block, int count):
        cdef int i
        values = []
        for i in range(count):
            if block.value[i] == NULL:
                values.append(None)
            else:
                values.append(PyBytes_FromStringAndSize(<const char *>block.value[i], block.value_size[i]))
        return tuple(values)


cdef bint _is_host(const unsigned char *text, Py_ssize_t size) noexcept nogil:
    """Return whether the text is a name or an IPv4 address, with or without a port."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t digits
    while i < size and (LOWER[text[i]] or text[i] == c'.'):
        i += 1
    if not i:
        return False
    if i == size:
        return True
    if text[i] != c':':
        return False
    digits = size - i - 1
    if not 1 <= digits <= 5:
        return False
    for i in range(i + 1, size):
        if not c'0' <= text[i] <= c'9':
            return False
    return True


cdef class RequestRecogniser(_Table):

    def __init__(self, shown, forwarded, dropped, doubtful):
        super().__init__((*shown, b"host"), forwarded, dropped, doubtful)

    def __call__(self, bytes received not None):
        cdef Block block
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(received)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(received)
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t begin
        # The place of the value that ``__init__`` has added.
        cdef int host = self._shown - 1
        if end > MOST:
            end = MOST
        for method in METHODS:
            at = PyBytes_GET_SIZE(method)
            if end > at and memcmp(data, PyBytes_AS_STRING(method), at) == 0 and data[at] == c' ':
                break
        else:
            return None
        at += 1
        begin = at
        while at < end and VISIBLE[data[at]]:
            at += 1
        if at + 11 > end or memcmp(data + at, b" HTTP/1.1\r\n", 11) != 0:
            return None
        if data[begin] != c'/' or data[begin + 1] == c'/':
            return None
        if not self._read(data, at + 11, end, &block):
            return None
        if block.value[host] == NULL or not _is_host(block.value[host], block.value_size[host]):
            return None
        target = PyBytes_FromStringAndSize(<const char *>data + begin, at - begin)
        lines = PyBytes_FromStringAndSize(<const char *>block.lines, block.size)
        length = None if block.length < 0 else block.length
        return block.end, method, target, lines, length, self._values(&block, host)


cdef class ResponseRecogniser(_Table):

    def __call__(self, bytes received not None):
        cdef Block block
        cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(received)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(received)
        cdef Py_ssize_t at = 12
        cdef int status
        if end > MOST:
            end = MOST
        if end < 14 or memcmp(data, b"HTTP/1.1 ", 9) != 0:
            return None
        if not (c'2' <= data[9] <= c'5' and c'0' <= data[10] <= c'9' and c'0' <= data[11] <= c'9'):
            return None
        status = (data[9] - c'0') * 100 + (data[10] - c'0') * 10 + data[11] - c'0'
        if status == 304 or data[12] != c' ':
            return None
        while at < end and (VISIBLE[data[at]] or data[at] == c' '):
            at += 1
        if at + 2 > end or data[at] != c'\r' or data[at + 1] != c'\n':
            return None
        if not self._read(data, at + 2, end, &block):
            return None
        if (block.length < 0) != (status == 204):
            return None
        lines = PyBytes_FromStringAndSize(<const char *>block.lines, block.size)
        return block.end, status, lines, max(block.length, 0), self._values(&block, self._shown)
